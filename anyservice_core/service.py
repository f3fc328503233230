"""The reference's module functions, on a client made from the environment.

    from anyservice_core import ServiceConfig, service

    service.deploy(ServiceConfig(name="a", applications=[{"import_path": "main:app"}]), canary_percent=10)
    service.wait("a")

One client is kept for each set of settings, so a change of the environment takes effect at once.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from anyservice_core import settings
from anyservice_core.client import Client

__all__ = [
    "archive",
    "delete",
    "deploy",
    "list",
    "prepare",
    "preview",
    "rollback",
    "shift",
    "status",
    "terminate",
    "wait",
]


@functools.lru_cache(maxsize=8)
def _client(found: settings.Settings) -> Client:
    return Client(found.host, found.token, cloud=found.cloud, project=found.project)


if TYPE_CHECKING:
    _typed = Client()
    archive = _typed.archive
    delete = _typed.delete
    deploy = _typed.deploy
    list = _typed.list
    prepare = _typed.prepare
    preview = _typed.preview
    rollback = _typed.rollback
    shift = _typed.shift
    status = _typed.status
    terminate = _typed.terminate
    wait = _typed.wait
else:

    def _bind(name: str) -> Any:
        @functools.wraps(getattr(Client, name).function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(_client(settings.resolve()), name)(*args, **kwargs)

        return call

    for _name in __all__:
        globals()[_name] = _bind(_name)
