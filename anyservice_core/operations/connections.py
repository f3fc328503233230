"""From the name of a connection to the id that a deploy needs."""

from __future__ import annotations

from anyservice_core.effects import Op, Request
from anyservice_core.errors import ConfigError
from anyservice_core.models.config import Connection, ServiceConfig
from anyservice_core.models.wire import ConnectionWire
from anyservice_core.operations.sending import send_page

__all__ = ["resolve"]


def resolve(config: ServiceConfig) -> Op[ServiceConfig]:
    """``config`` with an id for each connection that it names."""
    if not any(isinstance(one, Connection) for one in config.connections or ()):
        return config
    ids = []
    for one in config.connections or ():
        ids.append(one if isinstance(one, str) else (yield from _id(one)))  # noqa: PERF401  # no yield in there
    return config.options(connections=ids)


def _id(wanted: Connection) -> Op[str]:
    path = f"/api/v2/integrations/connections/{wanted.type.lower()}"
    answer = yield from send_page(Request("GET", path, params={"name": wanted.name}), ConnectionWire)
    found = next((one for one in answer.results if one.name in {"", wanted.name}), None)
    if found is None:
        raise ConfigError(f"connections: the organization has no {wanted.type} called {wanted.name!r}.")
    if not found.user_connection_id:
        raise ConfigError(
            f"connections: you have not joined {wanted.name!r} yet.",
            hint="The console's page of integrations is where that is done.",
        )
    return found.user_connection_id
