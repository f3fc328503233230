"""The host process of the ``ray`` engine: a private Ray cluster running Ray Serve, for one version.

The host is the cluster's driver. It applies the applications declaratively, as Serve's own REST
API does, and then polls their status and remembers it for whoever asks (``ray_watch``). When it ends, the
cluster ends with it.

Pitfalls that shaped this file: ``address="local"``, as a plain ``ray.init()`` may join a cluster
that already runs here; no ``serve.status()`` after ``ray.shutdown()``, as that starts a new cluster
in /tmp/ray; our SIGTERM handler after ``ray.init``, as that sets its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from anyservice_core.errors import PlaneError

from .base import KEPT_S, EngineState
from .host import Host, OvertaxedError, run
from .ray_cluster_wide import Storage, tracing_options
from .ray_grpc import grpc_options, import_from, wants_grpc
from .ray_lean import lean_head
from .ray_watch import Watch, prepare
from .surroundings import import_paths, requirements_of

__all__ = ["main", "serves"]

OBJECT_STORE_BYTES = 80 * 1024 * 1024
PORTS = range(20_000, 32_000)  # below the range from which the kernel serves everybody else


def main() -> NoReturn:
    run(serve)


def serve(host: Host) -> None:
    apps = prepare(host, host.generation)
    tracing = tracing_options(host.spec.tracing_config)
    storage = Storage.of(host.spec.external_storage)
    grpc = wants_grpc(host.spec.grpc_options)
    if grpc:
        import_from(_imported(host))
    host.report(EngineState.STARTING, "starting its Ray cluster")
    with _reserved_port(one_more=grpc) as reserved:
        address = reserved.getsockname()
        try:
            os.environ.update(storage.variables() if storage else {})
            client = _start_cluster(host, address, tracing)
            host.report(EngineState.STARTING, "deploying the applications")
            Watch(host, client, address, apps).forever()
        finally:
            _shut_down()
            if storage:
                storage.clean()


def _imported(host: Host) -> list[str]:
    """Give the folders that the applications import from."""
    apps = host.spec.applications
    required = [requirements_of(app.get("runtime_env") or {}) for app in apps]
    overlays = [path for requirements in required for path in host.overlay(requirements)]
    return list(dict.fromkeys([*(path for app in apps for path in import_paths(app)), *overlays]))


def _reserved_port(*, one_more: bool) -> socket.socket:
    """Hold a port, deaf, until Serve's proxy has bound it beside us; strangers cannot take it meanwhile.

    ``one_more`` looks for one after which another is free, for gRPC. That one cannot be held.
    """
    start = int.from_bytes(os.urandom(2), "big")
    for offset in range(len(PORTS)):
        port = PORTS[(start + offset) % len(PORTS)]
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            holder.bind(("127.0.0.1", port))
            if one_more:
                with socket.socket() as next_one:
                    next_one.bind(("127.0.0.1", port + 1))
        except OSError:
            holder.close()
        else:
            return holder
    raise PlaneError(f"No free port between {PORTS.start} and {PORTS.stop}.")


def _start_cluster(host: Host, address: tuple[str, int], tracing: dict[str, Any] | None) -> Any:
    import ray
    from ray import serve as ray_serve
    from ray.serve.context import _get_global_client

    before = signal.getsignal(signal.SIGTERM)
    with lean_head(), _in_time():
        ray.init(
            address="local",
            namespace="serve",
            # Twice what is written out, as twice the default: while a version is updated in place, both run.
            num_cpus=2 * host.spec.cpus if host.spec.cpus else host.options["num_cpus"],
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=host.options["temp_dir"],
            log_to_driver=False,
        )
    signal.signal(signal.SIGTERM, before)
    host.link("ray-logs", Path(host.options["temp_dir"]) / "session_latest" / "logs")
    host.report(EngineState.STARTING, "starting Ray Serve")
    own = {"host": address[0], "port": address[1], "keep_alive_timeout_s": KEPT_S}
    wanted = host.spec.grpc_options
    with serves():
        ray_serve.start(
            proxy_location="HeadOnly",
            http_options={**host.spec.http_options, **own},
            grpc_options=grpc_options(wanted, address[1] + 1) if wants_grpc(wanted) else None,
            tracing_config=tracing,
        )
    return _get_global_client()


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """Tell a machine that is too busy from a cluster that cannot start: Ray waits 30 s, and says so in words only."""
    try:
        yield
    except Exception as error:
        if "timed out" not in str(error):
            raise
        raise OvertaxedError(f"The cluster did not start in time: {error}") from error


@contextlib.contextmanager
def serves() -> Iterator[None]:
    """Blame no code for an actor of Serve's own that dies while Serve starts: nothing of the user's runs by then."""
    from ray.exceptions import RayActorError

    try:
        yield
    except RayActorError as error:
        raise OvertaxedError(f"Ray Serve did not start: {error}") from error


def _shut_down() -> None:
    import ray

    ray.shutdown()
