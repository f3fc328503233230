"""What Prefect adds to a rollout: to one, to importing it, and to many at once in one process.

    python benchmarks/prefect_overhead.py [rollouts at once, 200]

The rollouts run on planes in memory whose clock does not wait, so what is measured is the work alone. Prefect's
own server is started on SQLite, as in a test.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Callable

from side_by_side.prefect import PLAN, InMemory, config, staged  # before Prefect, whose settings it makes

from prefect import flow  # isort: skip
from prefect.testing.utilities import prefect_test_harness  # isort: skip

from anyservice_core import RolloutPlan, ServiceConfig  # isort: skip
from prefect_tasks import progressive_deploy  # isort: skip


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
