"""The tasks of ``prefect_tasks``, to await. Same names, same parameters, same runs.

from prefect import flow
from prefect_tasks import aio

@flow
async def look(names: list[str]):
    return await asyncio.gather(*(aio.status(name) for name in names))
"""

from __future__ import annotations

from prefect_tasks.tasks import aarchive as archive
from prefect_tasks.tasks import adelete as delete
from prefect_tasks.tasks import adeploy as deploy
from prefect_tasks.tasks import alist as list  # noqa: A004
from prefect_tasks.tasks import arollback as rollback
from prefect_tasks.tasks import arollout as rollout
from prefect_tasks.tasks import astatus as status
from prefect_tasks.tasks import aterminate as terminate
from prefect_tasks.tasks import await_ as wait

__all__ = ["archive", "delete", "deploy", "list", "rollback", "rollout", "status", "terminate", "wait"]
