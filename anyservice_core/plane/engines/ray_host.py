"""The host process of the ``ray`` engine: a private Ray cluster running Ray Serve, for one version.

The host is the cluster's driver. It applies the applications declaratively, as Serve's own REST
API does, and then polls their status and remembers it for whoever asks. When it ends, the cluster
ends with it.

Pitfalls that shaped this file: ``address="local"``, as a plain ``ray.init()`` may join a cluster
that already runs here; no ``serve.status()`` after ``ray.shutdown()``, as that starts a new cluster
in /tmp/ray; our SIGTERM handler after ``ray.init``, as that sets its own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from anyservice_core.errors import PlaneError

from .base import EngineState, VersionSpec
from .host import Host, run
from .ray_lean import lean_head
from .ray_status import AppReport, overall
from .surroundings import import_paths, requirements_of, route_prefixes, shared_variables

__all__ = ["deploy_config", "main"]

OBJECT_STORE_BYTES = 80 * 1024 * 1024
POLL_STARTING_S = 0.25
POLL_RUNNING_S = 2.0  # each poll costs the cluster some milliseconds of a core
SILENT_POLLS = 3
STALE_S = 30.0  # a poll that takes longer hangs
_TRANSLATED = {"env_vars", "working_dir", "py_modules", "pip", "uv"}
PORTS = range(20_000, 32_000)  # below the range from which the kernel serves everybody else


def main() -> NoReturn:
    run(serve)


def serve(host: Host) -> None:
    overlays = [host.overlay(requirements_of(app.get("runtime_env") or {})) for app in host.spec.applications]
    config = _validated(deploy_config(host.spec, overlays))
    host.report(EngineState.STARTING, "starting its Ray cluster")
    with _reserved_port() as reserved:
        address = reserved.getsockname()
        try:
            client = _start_cluster(host, address)
            host.report(EngineState.STARTING, "deploying the applications")
            client.deploy_apps(config)
            host.stale_after_s = STALE_S
            _Watch(host, address).forever()
        finally:
            _shut_down()


def _reserved_port() -> socket.socket:
    """Hold a port, deaf, until Serve's proxy has bound it beside us; strangers cannot take it meanwhile."""
    start = int.from_bytes(os.urandom(2), "big")
    for offset in range(len(PORTS)):
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            holder.bind(("127.0.0.1", PORTS[(start + offset) % len(PORTS)]))
        except OSError:
            holder.close()
        else:
            return holder
    raise PlaneError(f"No free port between {PORTS.start} and {PORTS.stop}.")


def _start_cluster(host: Host, address: tuple[str, int]) -> Any:
    import ray
    from ray import serve as ray_serve
    from ray.serve.context import _get_global_client

    before = signal.getsignal(signal.SIGTERM)
    with lean_head():
        ray.init(
            address="local",
            namespace="serve",
            num_cpus=host.options["num_cpus"],
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=host.options["temp_dir"],
            log_to_driver=False,
        )
    signal.signal(signal.SIGTERM, before)
    host.link("ray-logs", Path(host.options["temp_dir"]) / "session_latest" / "logs")
    host.report(EngineState.STARTING, "starting Ray Serve")
    options = {**host.spec.http_options, "host": address[0], "port": address[1]}
    ray_serve.start(proxy_location="HeadOnly", http_options=options)
    return _get_global_client()


def _validated(config: Mapping[str, Any]) -> Any:
    """Let Serve refuse what it does not take before anything is started."""
    from ray.serve.schema import ServeDeploySchema

    try:
        return ServeDeploySchema.model_validate(config)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise PlaneError(f"Ray Serve does not take these applications: {'; '.join(faults)}") from None


def deploy_config(spec: VersionSpec, overlays: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The applications as Serve takes them: local folders as ``local://``, variables not already given.

    What all applications share is in the host's own environment, which workers inherit. Only the
    rest is left in ``env_vars``, because Ray shows those on a command line while a worker starts.
    ``overlays`` are further import paths of each application.
    """
    shared = shared_variables(spec.applications, cautious=True)
    apps = [_application(app, shared, paths) for app, paths in zip(spec.applications, overlays, strict=True)]
    logging = {"logging_config": dict(spec.logging_config)} if spec.logging_config else {}
    return {"applications": apps, **logging}


def _application(
    application: Mapping[str, Any], shared: Mapping[str, str], overlay: Sequence[str]
) -> dict[str, Any]:
    given = application.get("runtime_env") or {}
    runtime_env = {key: value for key, value in given.items() if key not in _TRANSLATED}
    variables = {name: value for name, value in (given.get("env_vars") or {}).items() if name not in shared}
    if given.get("working_dir"):
        runtime_env["working_dir"] = f"local://{given['working_dir']}"
    if given.get("py_modules") or overlay:
        paths = [*import_paths(application), *overlay, variables.get("PYTHONPATH")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    if variables:
        runtime_env["env_vars"] = variables
    return {"name": "default", **application, "runtime_env": runtime_env}


class _Watch:
    """Polls until asked to stop, which raises, or until it is clear that the version will not come up."""

    def __init__(self, host: Host, address: tuple[str, int]) -> None:
        self._host = host
        self._address = address
        self._names = [str(app.get("name") or "default") for app in host.spec.applications]
        self._prefixes = set(route_prefixes(host.spec.applications))
        self._served = False
        self._silent = 0

    def forever(self) -> None:
        while True:
            self._once()
            time.sleep(POLL_RUNNING_S if self._served else POLL_STARTING_S)

    def _once(self) -> None:
        try:
            state, message = overall(_ask_serve(), self._names)
        except Exception as error:  # noqa: BLE001  whatever it is, the next poll may work
            self._silent += 1
            if self._silent >= SILENT_POLLS:
                self._host.report(EngineState.UNHEALTHY, f"Serve's controller does not answer: {error}")
            return
        self._silent = 0
        if state is EngineState.RUNNING:
            self._running()
        elif self._served:
            self._host.report(EngineState.UNHEALTHY, message)  # what served once may serve again
        elif state is EngineState.FAILED:
            raise PlaneError(message)
        else:
            self._host.report(state, message)

    def _running(self) -> None:
        self._served = self._served or _proxy_serves(self._address, self._prefixes)
        if self._served:
            self._host.ready(self._address)
        else:
            self._host.report(EngineState.STARTING, "waiting for Serve's HTTP proxy")


def _ask_serve() -> dict[str, AppReport]:
    from ray import serve as ray_serve

    return {
        name: AppReport(
            status=str(app.status.value),
            message=app.message,
            deployments=tuple(d.message for d in app.deployments.values() if d.status.value != "HEALTHY"),
        )
        for name, app in ray_serve.status().applications.items()
    }


def _proxy_serves(address: tuple[str, int], prefixes: set[str]) -> bool:
    """RUNNING applications may be unknown to the proxy for another moment."""
    try:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/-/routes", timeout=2.0) as reply:
            return prefixes <= set(json.load(reply))
    except (OSError, ValueError):
        return False


def _shut_down() -> None:
    import ray

    ray.shutdown()
