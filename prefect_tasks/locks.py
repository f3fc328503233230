"""One rollout of a service at a time: a global concurrency limit of Prefect's for each service, made on demand.

It binds what runs in this Prefect. Against everybody else, and should Prefect lose it, stands the core: a rollout
never touches a version that is not its own. So a slot that cannot be confirmed ends no rollout.

A run that is killed keeps its slot for ``LAPSES_S`` seconds. Its retry takes it at once, and another rollout waits
longer than that.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from uuid import UUID

import anyio
import anyio.to_thread
import httpx
from prefect import runtime
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from anyservice_core import ConflictError
from prefect_tasks.forgiving import forgiving, run_log
from prefect_tasks.line import line
from prefect_tasks.memory import latest
from prefect_tasks.slots import LAPSES_S, Slot

__all__ = ["aonly_one", "only_one"]

PATIENCE_S: Final = LAPSES_S + 30.0
LOOK_EVERY_S: Final = 5.0
# More threads at a time would only be in each other's way: on SQLite one that writes turns those back that just read.
_FEW: Final = threading.BoundedSemaphore(4)
_BUSY: Final = (PrefectHTTPStatusError, httpx.TransportError)


@contextmanager
def only_one(service: str, lock: str, memory: str) -> Iterator[None]:
    """Hold ``lock``. ``memory`` is the key of the artifact by which the one who holds it is known.

    Raises ``ConflictError`` if another rollout has it and keeps it.
    """
    claim = _Claim(service, Slot(lock), memory)
    try:
        while (pause_s := claim.attempt()) is not None:
            time.sleep(pause_s)
        yield
    finally:
        claim.end()


@asynccontextmanager
async def aonly_one(service: str, lock: str, memory: str) -> AsyncIterator[None]:
    """Hold it in asynchronous code."""
    claim = _Claim(service, Slot(lock), memory)
    try:
        while (pause_s := await anyio.to_thread.run_sync(claim.attempt)) is not None:  # noqa: ASYNC110
            await anyio.sleep(pause_s)
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(claim.end)


class _Claim:
    """Asking for the slot until it is there, or patience ends. A server that has no time for it is asked again."""

    def __init__(self, service: str, slot: Slot, memory: str) -> None:
        self._service = service
        self._slot = slot
        self._memory = memory
        self._began = time.monotonic()
        self._met = False

    def attempt(self) -> float | None:
        """Try once: ``None`` when the slot is ours, else how many seconds to wait for the next try."""
        try:
            with _FEW:
                taken = self._slot.take() or (not self._met and self._succeed())
        except _BUSY as error:
            if self._is_late or not _may_pass(error):
                raise
            return LOOK_EVERY_S * random.random()  # noqa: S311  # spreads load, guards nothing
        if taken:
            return None
        if self._is_late:
            raise self._taken()
        return LOOK_EVERY_S

    @property
    def _is_late(self) -> bool:
        return time.monotonic() - self._began >= PATIENCE_S

    def end(self) -> None:
        """Give it back."""
        with forgiving():
            self._slot.release()

    def _succeed(self) -> bool:
        """Take the slot of an earlier try of this very run, which is dead; else say who has it."""
        if (runtime.flow_run.run_count or 0) > 1 and self._last_run() == runtime.flow_run.id:
            self._slot.take_over()
            return True
        self._met = True
        run_log().info("%s: %s; waiting for up to %d s", self._service, self._holder(), PATIENCE_S)
        return False

    def _taken(self) -> ConflictError:
        return ConflictError(
            f"{self._service}: {self._holder()}, and two would race.",
            status=409,
            hint="Wait for its end, or cancel it and run this one again: it goes on from the weight that is reached.",
        )

    def _last_run(self) -> str | None:
        """The run that wrote last what is remembered of the service."""
        found = latest(self._memory)
        return str(found.flow_run_id) if found is not None and found.flow_run_id else None

    def _holder(self) -> str:
        """Who holds it, as far as is known."""
        unknown = "another rollout of it is under way"
        run_id = self._last_run()
        if run_id is None or run_id == runtime.flow_run.id:
            return unknown
        try:
            run = line().read_flow_run(UUID(run_id))
        except ObjectNotFound:
            return unknown
        state = run.state.name if run.state else "unknown"
        return f"the flow run {run.name!r} ({run.id}, {state}) is rolling it out"


def _may_pass(error: PrefectHTTPStatusError | httpx.TransportError) -> bool:
    return not isinstance(error, PrefectHTTPStatusError) or error.response.status_code >= 500
