"""Runs a Ray Serve application in this very process, in Serve's local testing mode, as an ASGI app.

Local testing mode builds every deployment of the application here, each on an event loop in a thread
of its own, and wires their handles; replicas, autoscaling and health checks it does not have. It
has no HTTP side either, so we hand requests to the ingress ourselves, by the call that a replica
makes. That call is private to Ray: what is private is named in ``_PRIVATE`` and in
the lines marked SLF001, and a release of Ray without it is refused in plain words.

The ingress lives on another loop than our server, and so must its ``receive`` and ``send`` be
carried across. Sync callables run in Serve's own thread pool there, so they block neither loop.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import SimpleNamespace
from typing import Any

from anyservice_core.errors import PlaneError

__all__ = ["ServeIngress", "is_serve_application", "serve_application"]

# Everything that we need of Ray and that it does not promise to keep, beside the attributes below.
_PRIVATE = (
    ("ray.serve._private.build_app", "build_app"),
    ("ray.serve._private.common", "ReplicaID"),
    ("ray.serve._private.http_util", "ASGIAppReplicaWrapper"),
    ("ray.serve._private.local_testing_mode", "make_local_deployment_handle"),
    ("ray.serve.context", "_get_internal_replica_context"),
    ("ray.serve.context", "_set_internal_replica_context"),
    ("ray.serve.schema", "ReplicaRank"),
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def is_serve_application(target: Any) -> bool:
    """Whether it is what ``Deployment.bind()`` returns; does not import Ray."""
    kind = type(target)
    return kind.__name__ == "Application" and kind.__module__.startswith("ray.serve")


def serve_application(target: Any, application: Mapping[str, Any]) -> ServeIngress:
    """Build the application here, running every ``__init__``, and return its ingress."""
    parts = _parts()
    overrides = {entry["name"]: entry for entry in application.get("deployments") or []}

    def make_handle(deployment: Any, app_name: str) -> Any:
        config = overrides.get(deployment.name, {}).get("user_config")
        chosen = deployment if config is None else deployment.options(user_config=config)
        return parts.make_local_deployment_handle(chosen, app_name)

    name = str(application.get("name") or "default")
    built = parts.build_app(target, name=name, make_deployment_handle=make_handle)
    ingress = built.deployment_handles[built.ingress_deployment_name]
    return ServeIngress(_wrapper(ingress, parts))


def _parts() -> SimpleNamespace:
    try:
        found = {name: getattr(importlib.import_module(module), name) for module, name in _PRIVATE}
    except (ImportError, AttributeError) as error:
        raise _unsuitable(error) from error
    return SimpleNamespace(**found)


def _wrapper(handle: Any, parts: SimpleNamespace) -> Any:
    try:
        handle._init()  # noqa: SLF001
        wrapper = handle._router._user_callable_wrapper  # noqa: SLF001
    except AttributeError as error:
        raise _unsuitable(error) from error
    if isinstance(wrapper.user_callable, parts.ASGIAppReplicaWrapper):
        _introduce(wrapper, parts)
    return wrapper


def _introduce(wrapper: Any, parts: SimpleNamespace) -> None:
    """FastAPI routes that are methods find their object in the replica's context: set it."""
    if parts._get_internal_replica_context() is not None:  # noqa: SLF001
        raise PlaneError(
            "Two applications have a FastAPI ingress, and one process can hold one.", hint="Use --engine ray."
        )
    parts._set_internal_replica_context(  # noqa: SLF001
        replica_id=parts.ReplicaID("local", wrapper._deployment_id),  # noqa: SLF001
        servable_object=wrapper.user_callable,
        _deployment_config=wrapper._deployment_config,  # noqa: SLF001
        rank=parts.ReplicaRank(rank=0, node_rank=0, local_rank=0),
        world_size=1,
    )


def _unsuitable(error: Exception) -> PlaneError:
    version = importlib.metadata.version("ray")
    return PlaneError(
        f"Ray {version} cannot run Serve applications in one process the way this release knows ({error}).",
        hint="Use --engine ray, or pip install 'ray[serve]>=2.60,<2.61'.",
    )


class ServeIngress:
    """The ingress deployment of an application, callable as ASGI from any event loop."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        try:
            self._method = wrapper.get_user_method_info("__call__")
            self._call = wrapper._call_http_entrypoint  # noqa: SLF001
        except AttributeError as error:
            raise _unsuitable(error) from error

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        loop = asyncio.get_running_loop()

        async def receive_there() -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_coroutine(receive()), loop))

        async def send_there(message: Message) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_coroutine(send(message)), loop))

        await asyncio.wrap_future(self._call(self._method, scope, receive_there, send_there))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Serve ran the start-up already, on the loop where the app lives; shutdown is the destructor."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.wrap_future(self._wrapper.call_destructor())
        await send({"type": "lifespan.shutdown.complete"})


async def _coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
