"""The host process of the ``process`` engine: the user's applications behind uvicorn, right here."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from anyservice_core.errors import PlaneError

from .applications import load
from .base import KEPT_S, EngineState, VersionSpec
from .host import Host, run
from .mounts import Mounts
from .surroundings import one_for_all, route_prefixes

__all__ = ["listening_socket", "main"]

GRACE_S = 30  # for requests in flight when asked to stop


def main() -> NoReturn:
    run(serve)


def serve(host: Host) -> None:
    _refuse_grpc(host.spec)
    _tell_what_is_left_out(host.spec)
    applications = host.spec.applications
    surroundings = one_for_all(applications)
    prefixes = route_prefixes(applications)
    paths = [*surroundings.paths, *host.overlay(surroundings.requirements)]
    if surroundings.working_dir:
        os.chdir(surroundings.working_dir)
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*paths, os.environ.get("PYTHONPATH")]))
    host.report(EngineState.STARTING, "importing the application")
    apps = [
        load(application) for application in applications if application.get("route_prefix", "/") is not None
    ]
    host.report(EngineState.STARTING, "starting the application")
    _serve_http(host, Mounts(dict(zip(prefixes, apps, strict=True))))


def _refuse_grpc(spec: VersionSpec) -> None:
    functions = spec.grpc_options.get("grpc_servicer_functions")
    if functions:
        raise PlaneError(
            f"grpc_options: {', '.join(functions)} needs Serve's proxy, and the process engine answers HTTP only.",
            hint="Leave grpc_options out, or use --engine ray.",
        )


def _tell_what_is_left_out(spec: VersionSpec) -> None:
    """Say in the version's log what only a Ray cluster can do."""
    asked = {
        "tracing_config": (spec.tracing_config or {}).get("enabled"),
        "ray_gcs_external_storage_config": (spec.external_storage or {}).get("enable"),
    }
    for field in (field for field, wanted in asked.items() if wanted):
        print(f"{field} is not used: this version runs without a Ray cluster (--engine process).", flush=True)  # noqa: T201


def listening_socket() -> socket.socket:
    """Give a socket for a server of asyncio's that sends at once what is small.

    It sets TCP_NODELAY only where it is told that the socket is TCP's; without it, the second part of each answer
    waits for the acknowledgement of the first, which takes 40 ms.
    """
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def _serve_http(host: Host, mounts: Mounts) -> None:
    with listening_socket() as listener:
        listener.bind(("127.0.0.1", 0))  # held from now on, but deaf until the apps have started
        server = _server(mounts, lambda: host.ready(listener.getsockname()))
        host.under_way = lambda: len(server.server_state.tasks)
        asyncio.run(_live(server, mounts, listener))


def _server(mounts: Mounts, on_started: Callable[[], None]) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                on_started()

    return Server(
        uvicorn.Config(
            mounts,
            lifespan="off",
            access_log=False,
            log_level="warning",
            timeout_keep_alive=KEPT_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


async def _live(server: Any, mounts: Mounts, listener: socket.socket) -> None:
    await mounts.startup()
    try:
        await server.serve(sockets=[listener])  # takes SIGTERM over, and passes it on to ours at its end
    finally:
        await mounts.shutdown()
