"""Release several services together: all canaries first, and no promotion before every one of them is fine.

    python fan_out_flow.py recommender.yaml ranker.yaml

Each service takes the same small share of its traffic and is watched. Only when all are healthy there are they promoted; if
one is not, all that were deployed are taken back, by the transaction.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from prefect import flow
from prefect.transactions import atransaction

from anyservice_core import ServiceId
from prefect_tasks import aio

T = TypeVar("T")
PERCENT = 10
WATCHED_S = 60.0


@flow
async def release_together(
    configs: list[str], percent: int = PERCENT, watched_s: float = WATCHED_S
) -> list[str]:
    """Bring the versions in `configs` up beside the present ones, and promote all of them or none."""
    async with atransaction():
        canaries = await all_of(aio.deploy(config, canary_percent=percent) for config in configs)
        await all_of(healthy(canary, percent) for canary in canaries)
        await asyncio.sleep(watched_s)
        await all_of(healthy(canary, percent) for canary in canaries)
    # The barrier: nothing above was a promotion, and nothing below is taken back.
    await all_of(aio.deploy(config, canary_percent=100) for config in configs)
    await all_of(aio.wait(one.service_name) for one in canaries)
    return [one.service_name for one in canaries]


async def healthy(canary: ServiceId, percent: int) -> None:
    """Raise unless the canary is healthy at its weight."""
    await aio.wait(canary.service_name, version=canary.version_id, canary_weight=percent)


async def all_of(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all of them, also when one fails: what is still under way then could not be taken back."""
    ends = await asyncio.gather(*calls, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return [end for end in ends if not isinstance(end, BaseException)]


if __name__ == "__main__":
    asyncio.run(release_together(sys.argv[1:]))
