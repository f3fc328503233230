"""What of a rollout is worth an artifact, and what it looks like. Pure: values in, values out.

A ``Story`` is told events, one by one, and answers with ``Exhibit``s, each the content of one Prefect artifact:

    the weight      a progress bar, moved when the weight or what is done about it changes, not at each poll
    the verdicts    a table with the numbers behind them, anew at the end of each step
    the service     a link to its page in the control plane's console
    the report      markdown, at the end, however it ends
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from anyservice_core import RolloutError, RolloutReport
from anyservice_core.operations.relay import Relay
from anyservice_core.rollout import Event, Kind
from anyservice_core.rollout.facts import PHASES
from anyservice_core.rollout.markdown import cell, markdown
from anyservice_core.rollout.report import Phase
from prefect_tasks.held import HeldError

__all__ = ["Exhibit", "Link", "Story", "Text", "Verdicts", "Weight", "slug"]

_STEP_ENDS: Final = frozenset({Kind.SHIFTING, Kind.PROMOTING, Kind.ROLLING_BACK, Kind.FINISHED})
_MOVES_BAR: Final = frozenset({Kind.STARTED, Kind.ADOPTED, Kind.DEPLOYING, Kind.BAKING, *_STEP_ENDS})
_MAX_LINES: Final = 200
_STOPPED: Final = "The service was left as it is. Run the same rollout again to go on from there."
_HELD: Final = (
    "No process waits for it, and nobody watches the canary meanwhile. The run goes on with the answer."
)


@dataclass(frozen=True, slots=True)
class Weight:
    """The canary's percent of the traffic, 0 to 100, and what goes on."""

    service: str
    percent: float
    text: str


@dataclass(frozen=True, slots=True)
class Verdicts:
    """A row for each metric at each step."""

    service: str
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Link:
    """The service's page in the console."""

    service: str
    url: str


@dataclass(frozen=True, slots=True)
class Text:
    """The report, as markdown."""

    service: str
    markdown: str


Exhibit: TypeAlias = Weight | Verdicts | Link | Text


@dataclass
class Story:
    """A rollout as far as it was told."""

    service: str = ""
    percent: float = 0.0
    rows: dict[tuple[int, str], Mapping[str, Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    shown: int = 0

    def hear(self, event: Any) -> Iterator[Exhibit]:
        """Take in an event; answer with what it changes."""
        if not isinstance(event, Event):
            return
        self.service, before = event.service, self.percent
        self.percent = 100.0 if event.data.get("outcome") == "succeeded" else float(event.weight or 0)
        self._note(event)
        if event.kind in _MOVES_BAR or self.percent != before:
            yield Weight(self.service, self.percent, event.message)
        if event.kind in _STEP_ENDS and len(self.rows) > self.shown:
            self.shown = len(self.rows)
            yield Verdicts(self.service, _even(self.rows.values()))

    def _note(self, event: Event) -> None:
        if event.kind is Kind.MEASURED:
            weight, metric = event.weight or 0, str(event.data.get("metric", ""))
            self.rows[weight, metric] = _row(weight, metric, event)
        else:
            self.events = [*self.events, event][-_MAX_LINES:]

    def end(self, outcome: object, console: str) -> Iterator[Exhibit]:
        """Close with the report: of the promotion, of the error, or of how far it came. ``console`` is a host."""
        if not self.service or _goes_on(outcome):
            return
        report = _report(outcome)
        yield Text(self.service, markdown(report, self.events) if report else self._cut_short(outcome))
        if report and report.service_id:
            yield Link(self.service, f"{console}/services/{report.service_id}")

    def _cut_short(self, outcome: object) -> str:
        """Say how far it came, for an end that the core has no report of."""
        held = isinstance(outcome, HeldError)
        why = cell(str(outcome) or type(outcome).__name__)
        head = f"## {cell(self.service)}: {'waiting' if held else 'stopped'} at {self.percent:g} %"
        lines = [f"- {_clock(event.at)} {cell(event.message)}" for event in self.events]
        return (
            "\n\n".join([head, why, _HELD if held else _STOPPED, "### What happened", "\n".join(lines)])
            + "\n"
        )


def slug(name: str) -> str:
    """``name`` as it may be in an artifact's key: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"


def _goes_on(outcome: object) -> bool:
    """Whether it is the end of a call only: the rollout is handed on to another."""
    return outcome is None or isinstance(outcome, Relay)


def _report(outcome: object) -> RolloutReport | None:
    if isinstance(outcome, RolloutError) and outcome.report:
        return RolloutReport.model_validate(outcome.report)
    return outcome if isinstance(outcome, RolloutReport) else None


def _row(weight: int, metric: str, event: Event) -> Mapping[str, Any]:
    numbers = {name: _plain(number) for name, number in event.data.get("numbers", {}).items()}
    said = event.message.removeprefix(f"{metric}: ")
    return {
        "weight": f"{weight} %",
        "metric": metric,
        "verdict": _verdict(event),
        "what it says": said,
        **numbers,
    }


def _verdict(event: Event) -> str:
    """In the words of the report."""
    phase = event.data.get("phase", "")
    word = PHASES[Phase(phase)] if phase in set(Phase) else None
    return f"{word.sign} {word.text}" if word else str(phase)


def _even(rows: Collection[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Give all rows all columns: the UI shows those of the first row alone."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return tuple({name: row.get(name, "") for name in columns} for row in rows)


def _plain(number: Any) -> Any:
    """A count is a whole number."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
