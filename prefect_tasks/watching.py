"""Telling a run's log and page how a call goes, while it goes.

A picture is never worth a rollout: when Prefect's API fails to take an artifact, the log says so and the
rollout goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from prefect import artifacts, runtime
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

from anyservice_core.rollout import Event, Kind
from prefect_tasks.reporting import Exhibit, Link, Story, Text, Verdicts, Weight, slug

__all__ = ["RolloutWatch", "Watch"]


class Watch:
    """Writes what a client reports to the run's log, one line an event."""

    def see(self, event: Any) -> None:
        """Take in one event."""
        self._log(event)

    async def asee(self, event: Any) -> None:
        """Take in one event."""
        self._log(event)

    def end(self, outcome: object) -> None:
        """Take in what the call gave or raised."""

    async def aend(self, outcome: object) -> None:
        """Take in what the call gave or raised."""

    def _log(self, event: Any) -> None:
        trouble = isinstance(event, Event) and event.kind in {Kind.TROUBLE, Kind.ROLLING_BACK}
        log = _logger()
        (log.warning if trouble else log.info)("%s", event)


class RolloutWatch(Watch):
    """Also shows a rollout's artifacts on the run's page."""

    def __init__(self) -> None:
        self._story = Story()
        self._bar: UUID | None = None

    def see(self, event: Any) -> None:
        self._log(event)
        self._show(self._story.hear(event))

    async def asee(self, event: Any) -> None:
        self._log(event)
        await self._ashow(self._story.hear(event))

    def end(self, outcome: object) -> None:
        self._show(self._story.end(outcome))

    async def aend(self, outcome: object) -> None:
        await self._ashow(self._story.end(outcome))

    def _show(self, exhibits: Iterable[Exhibit]) -> None:
        for exhibit, function, arguments in self._calls(exhibits):
            try:
                self._keep(exhibit, getattr(artifacts, function)(**arguments))
            except Exception:  # noqa: BLE001
                _logger().warning("The artifact was not taken; the rollout goes on.", exc_info=True)

    async def _ashow(self, exhibits: Iterable[Exhibit]) -> None:
        for exhibit, function, arguments in self._calls(exhibits):
            try:
                self._keep(exhibit, await getattr(artifacts, f"a{function}")(**arguments))
            except Exception:  # noqa: BLE001
                _logger().warning("The artifact was not taken; the rollout goes on.", exc_info=True)

    def _calls(self, exhibits: Iterable[Exhibit]) -> Iterator[tuple[Exhibit, str, dict[str, Any]]]:
        """What to ask of ``prefect.artifacts``. Nothing outside of a run: there is no page to show it on."""
        for exhibit in exhibits:
            if runtime.task_run.id or runtime.flow_run.id:
                yield exhibit, *self._call(exhibit)

    def _call(self, exhibit: Exhibit) -> tuple[str, dict[str, Any]]:
        key = f"rollout-{slug(exhibit.service)}"
        match exhibit:
            case Weight(_, percent, text) if self._bar is not None:
                bar = {"artifact_id": self._bar, "progress": percent, "description": text}
                return "update_progress_artifact", bar
            case Weight(_, percent, text):
                return "create_progress_artifact", {
                    "progress": percent,
                    "key": f"{key}-weight",
                    "description": text,
                }
            case Verdicts(service, rows):
                what = f"What was measured in the rollout of {service}"
                return "create_table_artifact", {
                    "table": [*rows],
                    "key": f"{key}-verdicts",
                    "description": what,
                }
            case Link(service, url):
                return "create_link_artifact", {"link": url, "link_text": service, "key": f"{key}-service"}
            case Text(_, markdown):
                return "create_markdown_artifact", {"markdown": markdown, "key": f"{key}-report"}

    def _keep(self, exhibit: Exhibit, made: UUID) -> None:
        if isinstance(exhibit, Weight):
            self._bar = made


def _logger() -> Any:
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("anyservice")
