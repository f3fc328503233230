"""One rollout of a service at a time: a global concurrency limit of Prefect's for each service, made on demand.

It binds what runs in this Prefect. Against everybody else, and should Prefect lose it, stands the core: a rollout
never touches a version that is not its own. So a lease that cannot be renewed ends no rollout.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any, Final

import anyio.to_thread
from prefect import get_client, runtime
from prefect.artifacts import Artifact
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency import asyncio as waiting
from prefect.concurrency import sync as blocking
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from anyservice_core import ConflictError

__all__ = ["aonly_one", "only_one"]

# A process that is killed keeps its slot so long; 60 is the least that Prefect takes.
_LEASE_S: Final = 60.0
# Longer than that, so that the retry of a killed run comes in.
PATIENCE_S: Final = 120.0


@contextmanager
def only_one(service: str, lock: str, memory: str, log: Any) -> Iterator[None]:
    """Hold ``lock``. ``memory`` is the key of the artifact by which the one who holds it is known.

    Raises ``ConflictError`` if another rollout has it and keeps it.
    """
    _prepare(service, lock, memory, log)
    with ExitStack() as held:
        try:
            held.enter_context(blocking.concurrency(lock, **_terms()))
        except TimeoutError as error:
            raise _taken(service, memory) from error
        yield


@asynccontextmanager
async def aonly_one(service: str, lock: str, memory: str, log: Any) -> AsyncIterator[None]:
    """Hold it in asynchronous code."""
    await anyio.to_thread.run_sync(_prepare, service, lock, memory, log)
    async with AsyncExitStack() as held:
        try:
            await held.enter_async_context(waiting.concurrency(lock, **_terms()))
        except TimeoutError as error:
            raise await anyio.to_thread.run_sync(_taken, service, memory) from error
        yield


def _terms() -> dict[str, Any]:
    return {
        "strict": True,  # without it a limit that is not there guards nothing
        "raise_on_lease_renewal_failure": False,
        "lease_duration": _LEASE_S,
        "timeout_seconds": PATIENCE_S,
    }


def _prepare(service: str, lock: str, memory: str, log: Any) -> None:
    """Make the limit if there is none, and say so if somebody has it."""
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(lock)
        except ObjectNotFound:
            _create(client, lock)
            return
        if limit.active_slots and _is_mine(memory):
            client.release_concurrency_slots([lock], slots=1, occupancy_seconds=_LEASE_S)
            return
    if limit.active_slots:
        log.info("%s: %s; waiting for up to %d s", service, _holder(memory), PATIENCE_S)


def _is_mine(memory: str) -> bool:
    """Whether an earlier try of this very run was the last at it: it is dead, and its slot is ours."""
    read: Any = Artifact.get
    found = read(memory, _sync=True)
    again = (runtime.flow_run.run_count or 0) > 1
    return again and found is not None and str(found.flow_run_id) == runtime.flow_run.id


def _create(client: Any, lock: str) -> None:
    try:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=lock, limit=1, active=True))
    except ObjectAlreadyExists:  # another run was faster
        return


def _taken(service: str, memory: str) -> ConflictError:
    return ConflictError(
        f"{service}: {_holder(memory)}, and two would race.",
        status=409,
        hint="Wait for its end, or cancel it and run this one again: it goes on from the weight that is reached.",
    )


def _holder(memory: str) -> str:
    """Who holds it: the run that wrote last what is remembered of the service."""
    read: Any = Artifact.get
    found = read(memory, _sync=True)
    if found is None or found.flow_run_id is None or str(found.flow_run_id) == runtime.flow_run.id:
        return "another rollout of it is under way"
    with get_client(sync_client=True) as client:
        try:
            run = client.read_flow_run(found.flow_run_id)
        except ObjectNotFound:
            return "another rollout of it is under way"
    state = run.state.name if run.state else "unknown"
    return f"the flow run {run.name!r} ({run.id}, {state}) is rolling it out"
