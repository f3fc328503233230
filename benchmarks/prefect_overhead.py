"""What Prefect adds to a rollout: to one, to importing it, and to many at once in one process.

    python benchmarks/prefect_overhead.py [rollouts at once, 200]

The rollouts run on planes in memory whose clock does not wait, so what is measured is the work alone. Prefect's
own server is started on SQLite, as in a test.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="anyservice-bench-"))
os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"

from prefect import flow
from prefect.testing.utilities import prefect_test_harness
from pydantic import PrivateAttr

from anyservice_core import AsyncClient, Client, RolloutPlan, ServiceConfig
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, progressive_deploy

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


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@flow(flow_run_name="nothing")
def nothing(config: ServiceConfig, plan: RolloutPlan, credentials: InMemory) -> None:
    """What Prefect takes for any flow with these parameters."""


def main(times: int = 7) -> None:
    logging.disable(logging.CRITICAL)
    took: dict[str, list[float]] = {"core": [], "flow": [], "empty": []}
    with prefect_test_harness(server_startup_timeout=180):
        progressive_deploy(config("warm", "v2"), PLAN, staged("warm"))
        for number in range(times):
            first, second = staged(f"a{number}"), staged(f"b{number}")
            with first.get_client() as client:
                took["core"].append(timed(lambda: client.rollout(config(f"a{number}", "v2"), PLAN)))  # noqa: B023
            took["flow"].append(timed(lambda: progressive_deploy(config(f"b{number}", "v2"), PLAN, second)))  # noqa: B023
            took["empty"].append(timed(lambda: nothing(config(f"b{number}", "v2"), PLAN, second)))  # noqa: B023
    core, whole, empty = (statistics.median(took[name]) for name in ("core", "flow", "empty"))
    print(f"one rollout of three steps, median of {times}: {core:.2f} s by the core, {whole:.2f} s as a flow")
    print(f"a flow that does nothing: {empty:.2f} s; what a rollout adds to that and to the core: ", end="")
    print(f"{whole - core - empty:.2f} s")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
