"""From a service's name to the service. The API has no such call, so it is a search and a choice.

The search filters by substring and comes in pages; the choice is the exact name, within the cloud and the project that
are given or that the workspace has. Two services of one name in different projects are an error that names both, never
a guess: what follows may be ``terminate``.
"""

from __future__ import annotations

from typing import Any

from anyservice_core.effects import Op, Request, Together
from anyservice_core.errors import ConfigError, NotFoundError
from anyservice_core.models.wire import ServiceWire
from anyservice_core.operations import directory, inside
from anyservice_core.operations.paging import PAGE_SIZE, collect, page
from anyservice_core.operations.sending import ATTEMPTS, send

__all__ = ["SERVICES", "by_id", "locate", "namesakes"]

SERVICES = "/api/v2/services-v2/"


def locate(
    name: str | None, id: str | None, cloud: str | None, project: str | None, *, archived: bool = False
) -> Op[ServiceWire]:
    """The one service meant by a name or an id. Raises ``NotFoundError`` or ``ConfigError``."""
    if id is not None:
        return (yield from by_id(id))
    name = name or (yield from inside.name())
    if not name:
        raise ConfigError("name: missing; say which service is meant, by name or id.")
    found = yield from namesakes(name, cloud, project, archived=archived)
    if not found:
        raise NotFoundError(f"No service is called {name!r}.", status=404, hint=_where(cloud, project))
    if len(found) > 1:
        raise _ambiguous(name, found)
    return found[0]


def by_id(id: str, *, attempts: int = ATTEMPTS) -> Op[ServiceWire]:
    """The service with this id."""
    return (yield from send(Request("GET", f"{SERVICES}{id}"), ServiceWire, attempts=attempts))


def namesakes(
    name: str, cloud: str | None = None, project: str | None = None, *, archived: bool = False
) -> Op[list[ServiceWire]]:
    """Every service with exactly this name, where ``directory.place`` says, or wherever the token may look."""
    params: dict[str, Any] = {
        "name": name,
        "archive_status": "ALL" if archived else "NOT_ARCHIVED",
        "count": PAGE_SIZE,
    }
    if cloud and not project and not cloud.startswith("cld_"):
        found = yield from _in_cloud(cloud, params)
    else:
        params |= yield from directory.place(cloud, project)
        found = yield from collect(SERVICES, ServiceWire, params)
    return [service for service in found if service.name == name]


def _in_cloud(cloud: str, params: dict[str, Any]) -> Op[list[ServiceWire]]:
    """The cloud is asked for together with a page of all clouds' services; mostly that is the only one there is."""
    both: list[Any] = yield from Together([directory.cloud_id(cloud), page(SERVICES, ServiceWire, params)])
    known, first = both
    if first.metadata.next_paging_token:
        return (yield from collect(SERVICES, ServiceWire, {**params, "cloud_id": known}))
    return [service for service in first.results if service.cloud_id == known]


def _where(cloud: str | None, project: str | None) -> str:
    places = [f"{kind} {name!r}" for kind, name in (("project", project), ("cloud", cloud)) if name]
    return f"Looked in {' of '.join(places)}." if places else "`anyservice list` shows what is there."


def _ambiguous(name: str, found: list[ServiceWire]) -> ConfigError:
    each = ", ".join(f"{service.id} in project {service.project_id}" for service in found)
    return ConfigError(
        f"name: {len(found)} services are called {name!r}: {each}.", hint="Give a project or an id."
    )
