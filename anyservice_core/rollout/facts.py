"""The end of a rollout in words: the headline, and the facts that every form of the report shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.report import Outcome, Phase, RolloutReport

__all__ = [
    "NOTHING",
    "PHASES",
    "UNDER_WAY",
    "Fact",
    "Word",
    "clean",
    "clock",
    "facts",
    "headline",
    "moment",
    "outcome_word",
    "read",
    "would",
]

NOTHING: Final = "\N{EN DASH}"
UNDER_WAY: Final = "under way"  # as ``pause`` of a report on a rollout that has not ended yet
# What HTML and UTF-8 have no place for, and what turns the order of letters round for the rest of a line: control
# characters, halves of surrogate pairs, noncharacters.
_NOT_TEXT: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


class Word(NamedTuple):
    """A verdict for eyes: a sign, so that colour is never all there is; the word; and whether it is good news."""

    sign: str
    text: str
    mood: str


PHASES: Final[Mapping[Phase, Word]] = {
    Phase.SUCCESSFUL: Word("✓", "passed", "good"),
    Phase.INCONCLUSIVE: Word("?", "undecided", "warn"),
    Phase.ERROR: Word("!", "not measurable", "warn"),
    Phase.FAILED: Word("✕", "failed", "bad"),
}
_OUTCOMES: Final[Mapping[Outcome, tuple[Word, str, str]]] = {
    Outcome.SUCCEEDED: (Word("✓", "succeeded", "good"), "has succeeded", "would have been promoted"),
    Outcome.NO_CHANGE: (Word("=", "no change", "good"), "changed nothing", "would have changed nothing"),
    Outcome.ROLLED_BACK: (Word("↶", "rolled back", "bad"), "was rolled back", "would have been rolled back"),
    Outcome.PAUSED: (Word("‖", "paused", "warn"), "is paused", "would have been paused"),
    Outcome.SUPERSEDED: (Word("⇄", "superseded", "warn"), "was superseded", "would have been superseded"),
    Outcome.FAILED: (Word("✕", "failed", "bad"), "has failed", "would have failed"),
}


class Fact(NamedTuple):
    """``code``: the value is a name that people copy."""

    name: str
    value: str
    code: bool = False


def read(report: RolloutReport | Mapping[str, Any]) -> RolloutReport:
    """The report, as it is or as ``to_dict`` wrote it."""
    return report if isinstance(report, RolloutReport) else RolloutReport.model_validate(report)


def outcome_word(report: RolloutReport) -> Word:
    """How it ended, or would have."""
    word, _, would = _OUTCOMES[report.outcome]
    if report.pause == UNDER_WAY:
        return Word("▸", UNDER_WAY, "warn")
    return word._replace(text=would) if report.replayed else word


def would(outcome: Outcome) -> str:
    """What would have come of it."""
    return _OUTCOMES[outcome][2]


def headline(report: RolloutReport) -> str:
    """The end and its reason in one sentence."""
    _, was, would = _OUTCOMES[report.outcome]
    was = f"is {UNDER_WAY}" if report.pause == UNDER_WAY else was
    held = report.outcome in {Outcome.ROLLED_BACK, Outcome.PAUSED} and not report.replayed
    where = f" at {report.steps[-1].weight} %" if held and report.steps else ""
    after = f" after {format_duration(report.duration_s)}" if report.duration_s >= 1 else ""
    reason = report.reason.rstrip(". ")
    return f"{report.version_name} {would if report.replayed else was}{where}{after}: {reason}."


def facts(report: RolloutReport) -> list[Fact]:
    """What it was about, when, and how much was seen of it; what is not known is left out."""
    held, before = sum(step.held_s for step in report.steps), report.baseline_name or report.baseline_version
    shown = [
        Fact("Service", report.service, code=True),
        Fact("Canary" if report.replayed else "Version", report.version_name, code=True),
        Fact("Primary" if report.replayed else "Version before", before or "", code=True),
        Fact("Decided after" if report.replayed else "Took", format_duration(report.duration_s)),
        Fact("Held by people and windows", format_duration(held) if held >= 1 else ""),
        Fact("Reached", "" if report.replayed else _reached(report)),
        Fact("Canary requests compared", f"{report.requests:,}" if report.requests else ""),
        Fact("Began", moment(report.started_at)),
        Fact("Seen last" if report.pause == UNDER_WAY else "Ended", moment(report.ended_at)),
        Fact("Attempt", str(report.attempt + 1) if report.attempt else ""),
    ]
    return [fact for fact in shown if fact.value]


def _reached(report: RolloutReport) -> str:
    if report.outcome is Outcome.SUCCEEDED:
        return "all traffic" + (", at once: there was no version beside it" if report.steps_skipped else "")
    return f"{max(step.weight for step in report.steps)} % of the traffic" if report.steps else ""


def moment(at: float) -> str:
    """A time for people, in UTC."""
    return f"{clock(at, '%d %b %Y %H:%M:%S')} UTC"


def clock(at: float, how: str = "%H:%M:%S") -> str:
    """A time in UTC by ``how``; what no calendar has is given as it is."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime(how)
    except (ValueError, OverflowError, OSError):
        return f"{at:g}"


def clean(value: object) -> str:
    """``value`` as text that a file can hold and a browser show."""
    return _NOT_TEXT.sub("\ufffd", str(value))
