"""What of a rollout is worth an artifact, and what it looks like. Pure: values in, values out.

A ``Story`` is told events, one by one, and answers with ``Exhibit``s, each the content of one Prefect artifact:

    the weight      a progress bar, moved when the weight or what is done about it changes, not at each poll
    the verdicts    a table with the numbers behind them, anew at the end of each step
    the service     a link to its page in the control plane's console
    the report      markdown, at the end, however it ends
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from anyservice_core import RolloutError, RolloutReport
from anyservice_core.rollout import Event, Kind
from anyservice_core.rollout.duration import format_duration

__all__ = ["Exhibit", "Link", "Story", "Text", "Verdicts", "Weight", "slug"]

_STEP_ENDS: Final = frozenset({Kind.SHIFTING, Kind.PROMOTING, Kind.ROLLING_BACK, Kind.FINISHED})
_MOVES_BAR: Final = frozenset({Kind.STARTED, Kind.ADOPTED, Kind.DEPLOYING, Kind.BAKING, *_STEP_ENDS})
_MAX_LINES: Final = 200


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
    lines: list[str] = field(default_factory=list)
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
            yield Verdicts(self.service, tuple(self.rows.values()))

    def _note(self, event: Event) -> None:
        if event.kind is Kind.MEASURED:
            weight, metric = event.weight or 0, str(event.data.get("metric", ""))
            self.rows[weight, metric] = _row(weight, metric, event)
        else:
            self.lines = [*self.lines, f"{_clock(event.at)} {event.message}"][-_MAX_LINES:]

    def end(self, outcome: object, console: str) -> Iterator[Exhibit]:
        """Close with the report: of the promotion, of the error, or of how far it came. ``console`` is a host."""
        if not self.service:
            return
        report = _report(outcome)
        head = _summary(report) if report else self._cut_short(outcome)
        yield Text(self.service, "\n\n".join([*head, *_table(self.rows.values()), *_timeline(self.lines)]))
        if report and report.service_id:
            yield Link(self.service, f"{console}/services/{report.service_id}")

    def _cut_short(self, outcome: object) -> Sequence[str]:
        why = str(outcome) or type(outcome).__name__
        rest = "The service was left as it is. Run the same rollout again to go on from there."
        return (f"## {self.service}: stopped at {self.percent:g} %", why, rest)


def slug(name: str) -> str:
    """``name`` as it may be in an artifact's key: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"


def _report(outcome: object) -> RolloutReport | None:
    if isinstance(outcome, RolloutError) and outcome.report:
        return RolloutReport.model_validate(outcome.report)
    return outcome if isinstance(outcome, RolloutReport) else None


def _row(weight: int, metric: str, event: Event) -> Mapping[str, Any]:
    numbers = event.data.get("numbers", {})
    verdict = event.data.get("phase", "")
    said = event.message.removeprefix(f"{metric}: ")
    return {"weight": f"{weight} %", "metric": metric, "verdict": verdict, "what it says": said, **numbers}


# ── markdown ────────────────────────────────────────────────────────────────


def _summary(report: RolloutReport) -> Sequence[str]:
    facts = {
        "version": _code(report.version_name, report.version),
        "version before": _code(report.baseline_version),
        "took": format_duration(report.duration_s),
        "requests compared": str(report.requests),
    }
    listed = "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)
    return (f"## {report.service}: {report.outcome.replace('_', ' ')}", report.reason, listed)


def _code(*names: str | None) -> str:
    return " ".join(f"`{name}`" for name in names if name)


def _table(rows: Iterable[Mapping[str, Any]]) -> Sequence[str]:
    heads = ("weight", "metric", "verdict", "what it says")
    cells = [[str(row[head]).replace("|", "\\|") for head in heads] for row in rows]
    if not cells:
        return ()
    lines = [heads, ["---:", "---", "---", "---"], *cells]
    return ("### Measured", "\n".join(f"| {' | '.join(line)} |" for line in lines))


def _timeline(lines: Sequence[str]) -> Sequence[str]:
    return ("### What happened", "\n".join(f"- {line}" for line in lines)) if lines else ()


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
