"""What a rollout has told, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from anyservice_core.ledger.files import Folder, append, lines, prune, read, write
from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.report import Outcome, RolloutReport

__all__ = ["OVER", "Story"]

OVER: Final = frozenset(Outcome) - {Outcome.PAUSED}
_REPORTS: Final = 20
_MOST_BYTES: Final = 4_000_000


class Story:
    """The events of the latest rollout of a service, and the reports of some that are over."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._opening: Event | None = None

    def events(self) -> list[Event]:
        """All of them, from the beginning."""
        return [event for line in lines(self._folder("events.jsonl")) if (event := _event(line))]

    def tell(self, event: Event) -> None:
        """Keep an event, and the report with the last one. One of another rollout begins anew.

        Of a run that had nothing to do, nothing is kept: it would push what was done out of sight.
        """
        opening, self._opening = self._opening, None
        if event.kind is Kind.STARTED:
            self._opening = event
            return
        if event.kind is Kind.FINISHED and self._is_idle(event, opening):
            return
        if opening is not None:
            self._begin(opening)
        self._append(event)
        if event.kind is Kind.FINISHED:
            self._close(event)

    def report(self) -> RolloutReport | None:
        """How the latest rollout that has ended did."""
        try:
            return RolloutReport.model_validate(read(self._folder("report.json")))
        except ValueError:
            return None

    @property
    def page(self) -> Path | None:
        """The same for a browser."""
        path = self._folder("report.html")
        return path if path.exists() else None

    def _begin(self, opening: Event) -> None:
        last = self._last()
        over = last is not None and last.kind is Kind.FINISHED and last.data.get("outcome") in OVER
        if last is not None and (over or last.version != opening.version):
            self._folder("events.jsonl").unlink(missing_ok=True)
        self._append(opening)

    def _is_idle(self, event: Event, opening: Event | None) -> bool:
        """Whether an end is all that there was: no change, or a build that is not tried again."""
        if opening is not None:
            return event.data.get("outcome") == Outcome.NO_CHANGE
        last = self._last()
        return last is not None and last.kind is Kind.FINISHED

    def _last(self) -> Event | None:
        return next(reversed(self.events()), None)

    def _append(self, event: Event) -> None:
        path = self._folder.made("events.jsonl")
        if append(path, json.dumps(event.to_dict())) > _MOST_BYTES:
            kept = _thinned(self.events())
            write(path, "".join(f"{json.dumps(one.to_dict())}\n" for one in kept))

    def _close(self, event: Event) -> None:
        """Write the report, and keep it among the earlier ones too."""
        try:
            report = RolloutReport.model_validate(event.data.get("report"))
        except ValueError:
            return
        name = f"{int(report.ended_at)}-{report.version_name}"
        self._folder("report.html").unlink(missing_ok=True)  # it must never be that of another rollout
        for kind, text in _forms(report, self.events()):
            write(self._folder.made(f"report.{kind}"), text)
            write(self._folder.made("reports", f"{name}.{kind}"), text)
            prune(self._folder("reports").glob(f"*.{kind}"), _REPORTS)


def _forms(report: RolloutReport, events: Iterable[Event]) -> Iterator[tuple[str, str]]:
    from anyservice_core.rollout.page import page

    yield "json", json.dumps(report.to_dict(), indent=2)
    try:
        yield "html", page(report, events)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return  # a fault in a drawing must not take the place of how the rollout ended


def _event(line: Any) -> Event | None:
    try:
        return Event.from_dict(line)
    except (KeyError, TypeError, ValueError):
        return None


def _thinned(events: Iterable[Event]) -> list[Event]:
    """Half of the measurements, every second one, and all else."""
    measured = 0
    kept = []
    for event in events:
        measured += event.kind is Kind.MEASURED
        if event.kind is not Kind.MEASURED or measured % 2:
            kept.append(event)
    return kept
