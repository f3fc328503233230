"""Rollouts on planes in memory, for what compares them with and without Prefect. Import it before Prefect: it says
that Prefect shall keep its home apart, its log short, and call nobody."""

from __future__ import annotations

import os
import tempfile
from typing import Any

os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="anyservice-bench-"))
os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"

from pydantic import PrivateAttr

from anyservice_core import AsyncClient, Client, RolloutPlan, ServiceConfig
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials

PLAN = RolloutPlan.parse({"steps": [5, 25, 50], "bake": "1m"})


class InMemory(AnyserviceCredentials):
    """Credentials for a plane in memory."""

    _block_type_name = "Anyservice Benchmark Plane"
    _block_type_slug = "anyservice-benchmark-plane"
    _plane: FakePlane = PrivateAttr()

    def get_client(self, **options: Any) -> Client:
        return self._plane.client(**options)

    def get_async_client(self, **options: Any) -> AsyncClient:
        return self._plane.async_client(**options)


def config(name: str, version: str) -> ServiceConfig:
    return ServiceConfig(name=name, version_name=version, applications=[{"import_path": "main:app"}])


def staged(name: str) -> InMemory:
    """A plane of its own with a service on it."""
    block = InMemory()
    block._plane = FakePlane()  # noqa: SLF001
    with block.get_client() as client:
        client.deploy(config(name, "v1"))
        client.wait(name)
    return block
