"""The light engine: one process per version, for tests, CI and machines without Ray.

It runs any ASGI app, or a Ray Serve application in Serve's local testing mode (``serve_local.py``);
several applications share the process, told apart by ``route_prefix``. There are no replicas, no
autoscaling and no resource accounting: those settings are accepted and have no effect.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from anyservice_core.errors import PlaneError

from .base import VersionSpec
from .hosts import HostEngine
from .surroundings import shared_variables

__all__ = ["ProcessEngine"]


class ProcessEngine(HostEngine):
    name = "process"
    host_module = "anyservice_core.plane.engines.process_host"
    kill_after_s = 45.0  # 30 s for requests in flight, and then some

    def check(self) -> None:
        if importlib.util.find_spec("uvicorn") is None:
            raise PlaneError("uvicorn is not installed.", hint="pip install 'anyservice[plane]'")

    def host_variables(self, spec: VersionSpec) -> Mapping[str, str]:
        return shared_variables(spec.applications, cautious=False)
