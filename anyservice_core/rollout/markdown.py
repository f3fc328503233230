"""The report as Markdown, for comments on pull requests and for Prefect's artifacts: the facts of the page, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.facts import (
    NOTHING,
    PHASES,
    Fact,
    clean,
    clock,
    facts,
    headline,
    outcome_word,
    read,
)
from anyservice_core.rollout.history import history
from anyservice_core.rollout.report import RolloutReport, StepReport

__all__ = ["cell", "markdown"]

_LINES: Final = 100  # of what happened, the last
_ACTIVE: Final = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def markdown(
    report: RolloutReport | Mapping[str, Any], events: Iterable[Event | Mapping[str, Any]] = ()
) -> str:
    """All of the report; ``events``, if there are any, as what happened. Nothing in it is taken as Markdown."""
    end = read(report)
    word = outcome_word(end)
    parts = [
        f"## {word.sign} {cell(end.service)}: {word.text}",
        cell(headline(end)),
        "\n".join(f"- {fact.name}: {_value(fact)}" for fact in facts(end)),
        *_steps(end),
        *_orders(end),
        *_happened(history(end, events).events),
    ]
    return "\n\n".join(parts) + "\n"


def cell(text: object) -> str:
    """Text that stays text: on one line, with no markup, and calling nobody by ``@``."""
    return _ACTIVE.sub(r"\\\1", " ".join(clean(text).split())).replace("@", "@\u200b")


def _value(fact: Fact) -> str:
    if not fact.code:
        return cell(fact.value)
    return f"`{' '.join(clean(fact.value).split()).replace('`', chr(39))}`"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _steps(report: RolloutReport) -> Iterator[str]:
    if report.steps:
        heads = ("weight", "watched", "held", "metric", "verdict", "what it says")
        yield "### Steps"
        yield _table(heads, (row for step in report.steps for row in _rows(step)))


def _rows(step: StepReport) -> Iterator[Sequence[str]]:
    """A row a metric; what is about the step stands in the first."""
    held = format_duration(step.held_s) if step.held_s >= 1 else NOTHING
    first = (f"{step.weight} %", format_duration(step.baked_s), held)
    if not step.findings:
        yield (*first, NOTHING, _word(step), "")
    for finding in step.findings:
        said = cell(finding.message) + (" (dry run)" if finding.dry_run else "")
        yield (*first, cell(finding.metric), _word(finding), said)
        first = ("", "", "")


def _word(judged: Any) -> str:
    word = PHASES[judged.phase]
    return f"{word.sign} {word.text}"


def _orders(report: RolloutReport) -> Iterator[str]:
    if report.orders:
        rows = (
            (clock(o.at), o.kind.value, cell(o.by or "someone"), cell(o.reason or NOTHING))
            for o in report.orders
        )
        yield "### Who ordered what"
        yield _table(("UTC", "order", "by", "reason"), rows)


def _happened(events: Iterable[Event]) -> Iterator[str]:
    lines = [f"- {clock(one.at)} {cell(one.message)}" for one in events if one.kind is not Kind.MEASURED]
    if lines:
        yield "### What happened"
        yield "\n".join(lines[-_LINES:])
