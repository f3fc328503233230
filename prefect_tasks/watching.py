"""Telling a run's log and page how a call goes, while it goes.

A picture is never worth a rollout: when Prefect's API fails to take an artifact, the log says so and the
rollout goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import anyio.to_thread
from prefect import artifacts, runtime
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger
from pydantic import BaseModel

from anyservice_core.rollout import Event, Kind, RolloutReport
from prefect_tasks import gates, locks, news
from prefect_tasks.memory import Memory
from prefect_tasks.naming import journal_key, lock_name
from prefect_tasks.promotion import record
from prefect_tasks.reporting import Exhibit, Link, Story, Text, Verdicts, Weight, slug

__all__ = ["RolloutWatch", "Watch", "within_run"]


class Watch:
    """Writes what a client reports to the run's log, one line an event."""

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
        self._log(event)

    async def asee(self, event: Any) -> None:
        """Take in one event."""
        self._log(event)

    def keep(self, key: str, value: BaseModel) -> None:
        """Take in what a later call may want to know."""

    async def akeep(self, key: str, value: BaseModel) -> None:
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

    def _log(self, event: Any) -> None:
        trouble = isinstance(event, Event) and event.kind in {Kind.TROUBLE, Kind.ROLLING_BACK}
        log = _logger()
        (log.warning if trouble else log.info)("%s", event)


class RolloutWatch(Watch):
    """Also shows a rollout's artifacts on the run's page, and remembers it in one: ``journal`` is the last run's.

    It emits events, holds the lock of the service, and is where the rollout asks people and is told.
    """

    def __init__(self, service: str, story: Story | None = None) -> None:
        self.journal: Any = None
        self._service = service
        self._story = story or Story()
        self._memory = Memory("")
        self._bar: UUID | None = None
        self._desk = gates.the_desk()

    @contextmanager
    def guard(self, console: str) -> Iterator[None]:
        memory = journal_key(self._service, console)
        with locks.only_one(self._service, lock_name(self._service, console), memory, _logger()):
            yield

    @asynccontextmanager
    async def aguard(self, console: str) -> AsyncIterator[None]:
        memory = journal_key(self._service, console)
        async with locks.aonly_one(self._service, lock_name(self._service, console), memory, _logger()):
            yield

    def begin(self, console: str) -> None:
        self._memory = Memory(journal_key(self._service, console))
        with _forgiving():
            self.journal = self._memory.recall()
        self._desk.begin(self.journal)

    async def abegin(self, console: str) -> None:
        self._memory = Memory(journal_key(self._service, console))
        with _forgiving():
            self.journal = await self._memory.arecall()
        self._desk.begin(self.journal)

    def see(self, event: Any) -> None:
        self._tell(event)
        self._show(self._story.hear(event))

    async def asee(self, event: Any) -> None:
        self._tell(event)
        await self._ashow(self._story.hear(event))

    def _tell(self, event: Any) -> None:
        self._log(event)
        self._desk.hear(event)
        with _forgiving():
            news.announce(event)

    def keep(self, key: str, value: BaseModel) -> None:  # noqa: ARG002
        with _forgiving():
            self._memory.keep(value)
        self._desk.hold(value)

    async def akeep(self, key: str, value: BaseModel) -> None:  # noqa: ARG002
        with _forgiving():
            await self._memory.akeep(value)

    def orders(self, key: str) -> Iterable[Any]:  # noqa: ARG002
        with _forgiving():
            self._desk.look()
        return self._desk.orders

    async def aorders(self, key: str) -> Iterable[Any]:  # noqa: ARG002
        with _forgiving():
            await anyio.to_thread.run_sync(self._desk.look)
        return self._desk.orders

    def end(self, outcome: object, console: str) -> None:
        with _forgiving():
            self._desk.close()
        self._show(self._story.end(outcome, console))
        self._record(outcome, console)

    async def aend(self, outcome: object, console: str) -> None:
        with _forgiving():
            await anyio.to_thread.run_sync(self._desk.close)
        await self._ashow(self._story.end(outcome, console))
        self._record(outcome, console)

    def _record(self, outcome: object, console: str) -> None:
        if isinstance(outcome, RolloutReport):
            with _forgiving():
                record(outcome, console)

    def _show(self, exhibits: Iterable[Exhibit]) -> None:
        with _forgiving():
            for exhibit, function, arguments in self._calls(exhibits):
                self._hold(exhibit, getattr(artifacts, function)(**arguments))

    async def _ashow(self, exhibits: Iterable[Exhibit]) -> None:
        with _forgiving():
            for exhibit, function, arguments in self._calls(exhibits):
                self._hold(exhibit, await getattr(artifacts, f"a{function}")(**arguments))

    def _calls(self, exhibits: Iterable[Exhibit]) -> Iterator[tuple[Exhibit, str, dict[str, Any]]]:
        """What to ask of ``prefect.artifacts``."""
        for exhibit in exhibits:
            yield exhibit, *self._call(exhibit)

    def _call(self, exhibit: Exhibit) -> tuple[str, dict[str, Any]]:
        key = f"rollout-{slug(exhibit.service)}"
        match exhibit:
            case Weight(_, percent, text) if self._bar:
                return "update_progress_artifact", {
                    "artifact_id": self._bar,
                    "progress": percent,
                    "description": text,
                }
            case Weight(_, percent, text):
                return "create_progress_artifact", {
                    "key": f"{key}-weight",
                    "progress": percent,
                    "description": text,
                }
            case Verdicts(service, rows):
                what = f"What was measured in the rollout of {service}"
                return "create_table_artifact", {
                    "key": f"{key}-verdicts",
                    "table": [*rows],
                    "description": what,
                }
            case Link(service, url):
                return "create_link_artifact", {"key": f"{key}-service", "link": url, "link_text": service}
            case Text(_, markdown):
                return "create_markdown_artifact", {"key": f"{key}-report", "markdown": markdown}

    def _hold(self, exhibit: Exhibit, made: UUID) -> None:
        if isinstance(exhibit, Weight):
            self._bar = made


def within_run(watch: Watch) -> Watch:
    """Give ``watch``, or a plain one outside of a run: there is no page to show anything on."""
    return watch if runtime.task_run.id or runtime.flow_run.id else Watch()


@contextmanager
def _forgiving() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001
        _logger().warning("Prefect did not take it, the call goes on: %s: %s", type(error).__name__, error)


def _logger() -> Any:
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("anyservice")
