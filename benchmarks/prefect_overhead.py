"""What Prefect adds to a rollout: to one, to importing it, and to many at once in one process.

    python benchmarks/prefect_overhead.py [rollouts at once, 200]

The rollouts run on planes in memory whose clock does not wait, so what is measured is the work alone. Prefect's
own server is started on SQLite, as in a test.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="anyservice-bench-"))
os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"

from prefect import flow
from prefect.testing.utilities import prefect_test_harness
from pydantic import PrivateAttr

from anyservice_core import AsyncClient, Client, RolloutPlan, ServiceConfig
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, aio, progressive_deploy

PLAN = RolloutPlan.parse({"steps": [5, 25, 50], "bake": "1m"})
TIMES = 5


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


def one_by_one() -> None:
    alone, flows = [], []
    for number in range(TIMES):
        first, second = staged(f"a{number}"), staged(f"b{number}")
        with first.get_client() as client:
            alone.append(timed(lambda: client.rollout(config(f"a{number}", "v2"), PLAN)))  # noqa: B023
        flows.append(timed(lambda: progressive_deploy(config(f"b{number}", "v2"), PLAN, second)))  # noqa: B023
    core, whole = statistics.median(alone), statistics.median(flows)
    print(
        f"one rollout of three steps: {core:.2f} s by the core, {whole:.2f} s as a flow: {whole - core:.2f} s more"
    )


@flow
async def many(blocks: list[Any]) -> None:
    calls = (aio.rollout(config(f"m{n}", "v2"), PLAN, credentials=block) for n, block in enumerate(blocks))
    await asyncio.gather(*calls)


def at_once(count: int) -> None:
    blocks = [staged(f"m{number}") for number in range(count)]
    spent = timed(lambda: asyncio.run(many(blocks)))  # type: ignore[arg-type]
    print(f"{count} rollouts at once in one flow: {spent:.1f} s, {spent / count * 1000:.0f} ms each")


def imports() -> None:
    def seconds(module: str) -> float:
        call = f"import time; b = time.perf_counter(); {module}; print(time.perf_counter() - b)"
        runs = [
            subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=True)
            for _ in range(3)
        ]
        return min(float(run.stdout) for run in runs)

    bare, ours = seconds("from prefect import flow, task"), seconds("import prefect_tasks")
    print(
        f"import: {bare:.2f} s for prefect, {ours:.2f} s for prefect_tasks with it: {ours - bare:.2f} s more"
    )


def main(count: int = 200) -> None:
    logging.disable(logging.CRITICAL)
    imports()
    with prefect_test_harness(server_startup_timeout=180):
        progressive_deploy(config("warm", "v2"), PLAN, staged("warm"))
        one_by_one()
        at_once(count)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
