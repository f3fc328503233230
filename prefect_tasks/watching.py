"""Telling a run's log and page how a call goes, while it goes.

A picture is never worth a rollout: it does not wait for Prefect's API, and when that fails to take something, the
log says so and the rollout goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio.to_thread
from prefect import runtime
from pydantic import BaseModel

from anyservice_core.rollout import Event, Kind, RolloutReport
from prefect_tasks import gates, locks, news
from prefect_tasks.forgiving import forgiving, run_log
from prefect_tasks.looking import PATIENCE_S, Looking
from prefect_tasks.memory import Memory
from prefect_tasks.naming import journal_key, lock_name
from prefect_tasks.page import Page
from prefect_tasks.promotion import record
from prefect_tasks.reporting import Story

__all__ = ["RolloutWatch", "Watch", "within_run"]


class Watch:
    """Writes what a client reports to the run's log, one line an event.

    What may take a while has a twin to await; the rest only notes things, and both kinds of clients call it.
    """

    @contextmanager
    def guard(self, console: str) -> Iterator[None]:  # noqa: ARG002
        """Keep others away while the call is made; ``console`` is the control plane's host."""
        yield

    @asynccontextmanager
    async def aguard(self, console: str) -> AsyncIterator[None]:  # noqa: ARG002
        """Keep them away in asynchronous code."""
        yield

    def begin(self, console: str) -> None:
        """Be told that the call is about to be made; ``console`` is the control plane's host."""

    async def abegin(self, console: str) -> None:
        """Be told that the call is about to be made; ``console`` is the control plane's host."""

    def see(self, event: Any) -> None:
        """Take in one event."""
        trouble = isinstance(event, Event) and event.kind in {Kind.TROUBLE, Kind.ROLLING_BACK}
        log = run_log()
        (log.warning if trouble else log.info)("%s", event)

    def keep(self, key: str, value: BaseModel) -> None:
        """Take in what a later call may want to know."""

    def orders(self, key: str) -> Iterable[Any]:  # noqa: ARG002
        """Give what people have asked of the call."""
        return ()

    async def aorders(self, key: str) -> Iterable[Any]:  # noqa: ARG002
        """Give what people have asked of the call."""
        return ()

    def end(self, outcome: object, console: str) -> None:
        """Take in what the call gave or raised; ``console`` is the control plane's host."""

    async def aend(self, outcome: object, console: str) -> None:
        """Take in what the call gave or raised; ``console`` is the control plane's host."""


class RolloutWatch(Watch):
    """Also shows a rollout on the run's page, and remembers it there: ``journal`` is the last run's.

    It emits events, holds the lock of the service, and is where the rollout asks people and is told.
    """

    def __init__(self, service: str, story: Story | None = None) -> None:
        self.journal: Any = None
        self._service = service
        self._story = story or Story()
        self._page = Page(service)
        self._memory: Memory | None = None
        self._desk = gates.the_desk()
        self._looking = Looking(self._look)

    @contextmanager
    def guard(self, console: str) -> Iterator[None]:
        with locks.only_one(*self._lock(console)):
            yield

    @asynccontextmanager
    async def aguard(self, console: str) -> AsyncIterator[None]:
        async with locks.aonly_one(*self._lock(console)):
            yield

    def _lock(self, console: str) -> tuple[str, str, str]:
        return self._service, lock_name(self._service, console), journal_key(self._service, console)

    def begin(self, console: str) -> None:
        if self._memory is None:
            run_log().info("%s: on the control plane %s", self._service, console)
            self._memory = Memory(journal_key(self._service, console))
        with forgiving():
            self.journal = self._memory.recall()
        self._desk.begin(self.journal)

    async def abegin(self, console: str) -> None:
        await anyio.to_thread.run_sync(self.begin, console)

    def see(self, event: Any) -> None:
        super().see(event)
        self._desk.hear(event)
        with forgiving():
            news.announce(event)
        self._page.show(self._story.hear(event))

    def keep(self, key: str, value: BaseModel) -> None:  # noqa: ARG002
        if self._memory is not None:
            self._page.keep(self._memory, value)
        if (held := self._desk.holds(value)) is not None:
            raise held

    def orders(self, key: str) -> Iterable[Any]:  # noqa: ARG002
        if self._desk.is_due:
            self._looking.look()
        return self._desk.orders

    async def aorders(self, key: str) -> Iterable[Any]:  # noqa: ARG002
        if self._desk.is_due:
            await anyio.to_thread.run_sync(self._looking.look)
        return self._desk.orders

    def _look(self) -> None:
        with forgiving():
            self._desk.look()

    def end(self, outcome: object, console: str) -> None:
        self._looking.finish(PATIENCE_S)
        with forgiving():
            self._desk.close()
        self._page.show(self._story.end(outcome, console))
        if isinstance(outcome, RolloutReport):
            with forgiving():
                record(outcome, console)
        self._page.finish()

    async def aend(self, outcome: object, console: str) -> None:
        await anyio.to_thread.run_sync(self.end, outcome, console)


def within_run(watch: Watch) -> Watch:
    """Give ``watch``, or a plain one outside of a run: there is no page to show anything on."""
    return watch if runtime.task_run.id or runtime.flow_run.id else Watch()
