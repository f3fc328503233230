"""Two hundred rollouts at once in one process: by the core alone, and as tasks of one Prefect flow, in turn.

    python benchmarks/prefect_at_once.py [rollouts at once, 200]

Each has a plane of its own in memory, whose clock does not wait, so what is measured is the work. A real rollout
waits for minutes at each step; here all its work comes in a few seconds, and that of all others too. Prefect's own
server runs beside it on SQLite, as in a test.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from side_by_side.prefect import PLAN, InMemory, config, staged  # before Prefect, whose settings it makes

import httpx  # isort: skip
from prefect import flow  # isort: skip
from prefect.settings import PREFECT_API_URL  # isort: skip
from prefect.testing.utilities import prefect_test_harness  # isort: skip

from prefect_tasks import aio  # isort: skip

BUDGET_S = float(os.environ.get("BUDGET_S", "150"))
TRIAL = 10
ASKED: Counter[str] = Counter()


def name(number: int) -> str:
    return f"service-{number}"


async def alone(blocks: list[InMemory]) -> None:
    async def one(number: int, block: InMemory) -> None:
        async with block.get_async_client() as client:
            await client.rollout(config(name(number), "v2"), PLAN)

    await asyncio.gather(*(one(number, block) for number, block in enumerate(blocks)))


@flow
async def many(blocks: list[Any]) -> None:
    calls = (aio.rollout(config(name(n), "v2"), PLAN, credentials=block) for n, block in enumerate(blocks))
    await asyncio.gather(*calls)


def rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def servers_cpu_s() -> float:
    """Seconds of CPU that the children of this process have had, which is Prefect's server."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == os.getpid():
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What so many rollouts took."""

    seconds: float
    cpu_s: float
    server_cpu_s: float
    mib: float


def measured(call: Callable[[list[InMemory]], Any], count: int) -> Cost:
    blocks = [staged(name(number)) for number in range(count)]
    gc.collect()
    before, began, cpu, server = rss_mib(), time.perf_counter(), time.process_time(), servers_cpu_s()
    asyncio.run(call(blocks))
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return Cost(seconds, cpu_s, servers_cpu_s() - server, rss_mib() - before)


def count_requests() -> None:
    """Count what is asked of Prefect's API, by whichever client in this process."""
    place = urlsplit(str(PREFECT_API_URL.value())).netloc

    def note(request: httpx.Request) -> None:
        if request.url.netloc.decode() == place:
            kind = next((part for part in request.url.path.split("/")[2:] if part != "v2"), "")
            ASKED[f"{request.method} {kind}"] += 1

    send, asend = httpx.Client.send, httpx.AsyncClient.send

    def counted(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        note(request)
        return send(self, request, **options)

    async def acounted(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        note(request)
        return await asend(self, request, **options)

    httpx.Client.send, httpx.AsyncClient.send = counted, acounted  # type: ignore[method-assign]


def main(count: int = 200) -> None:
    logging.disable(logging.CRITICAL)
    with prefect_test_harness(server_startup_timeout=180):
        measured(many, 2)  # imports and connections
        began = time.monotonic()
        measured(alone, TRIAL), measured(many, TRIAL)
        fit = int(TRIAL * BUDGET_S / (time.monotonic() - began))
        if fit < count:
            print(f"this machine is too busy for {count} within {BUDGET_S:.0f} s: {fit} it is")
        count = min(count, fit)
        count_requests()
        costs = {"by the core alone": measured(alone, count), "as tasks of a flow": measured(many, count)}
    print(f"{count} rollouts of three steps at once in one process:")
    for way, cost in costs.items():
        print(
            f"{way:20}{cost.seconds:7.1f} s {cost.cpu_s:7.1f} s CPU, {cost.server_cpu_s:5.1f} s of Prefect's server, "
            f"{cost.mib:5.0f} MiB more"
        )
    core, whole = costs.values()
    print(f"ratio {whole.seconds / core.seconds:.2f}, of this process's CPU {whole.cpu_s / core.cpu_s:.2f}")
    print(f"{sum(ASKED.values()) / count:.1f} requests per rollout to Prefect's API:")
    for kind, times in ASKED.most_common(6):
        print(f"    {times / count:5.1f} {kind}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
