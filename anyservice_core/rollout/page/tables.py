"""The tables of the page: steps, orders, and what happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.facts import NOTHING, PHASES
from anyservice_core.rollout.history import History
from anyservice_core.rollout.orders import Order
from anyservice_core.rollout.page.markup import Child, Markup, tag
from anyservice_core.rollout.page.parts import badge, section, time
from anyservice_core.rollout.report import Finding, RolloutReport, StepReport

__all__ = ["log", "orders", "steps"]

_LINES: Final = 300  # of the log: the first and the last of them, when there are more
_BEGINNING: Final = 60


def _table(heads: Sequence[str], rows: Iterable[Sequence[Child]]) -> Markup:
    """A table that becomes a list of cards on a phone; the roles keep it a table for those who hear it."""
    head = tag("tr", (tag("th", name, scope="col", role="columnheader") for name in heads), role="row")
    body = (tag("tr", _cells(heads, row), role="row") for row in rows)
    return tag(
        "table",
        tag("thead", head, role="rowgroup"),
        tag("tbody", body, role="rowgroup"),
        class_="stack",
        role="table",
    )


def _cells(heads: Sequence[str], row: Sequence[Child]) -> Iterator[Markup]:
    return (tag("td", cell, data_head=name, role="cell") for name, cell in zip(heads, row, strict=True))


# ── steps ───────────────────────────────────────────────────────────────────


def steps(report: RolloutReport) -> Markup | None:
    """Each weight that was held."""
    if not report.steps:
        return None
    heads = ("Weight", "Seen", "Watched", "Held", "Verdict", "Why")
    return section("Steps", _table(heads, map(_step, report.steps)))


def _step(step: StepReport) -> Sequence[Child]:
    return (
        f"{step.weight} %",
        time(step.seen_at),
        format_duration(step.baked_s),
        format_duration(step.held_s) if step.held_s >= 1 else NOTHING,
        badge(PHASES[step.phase], "small"),
        tag("ul", map(_why, step.findings)),
    )


def _why(finding: Finding) -> Markup:
    dry = " (dry run)" if finding.dry_run else None
    return tag("li", tag("strong", finding.metric), f" {PHASES[finding.phase].text}: {finding.message}", dry)


# ── orders ──────────────────────────────────────────────────────────────────


def orders(report: RolloutReport) -> Markup | None:
    """What people ordered."""
    if not report.orders:
        return None
    heads = ("UTC", "Order", "About", "By", "Reason")
    return section("Who ordered what", _table(heads, map(_order, report.orders)))


def _order(order: Order) -> Sequence[Child]:
    at = f"at {order.weight} %" if order.weight is not None else "before the start"
    about = at if order.gate is None else f"the gate {order.gate}, {at}"
    return (time(order.at), order.kind.value, about, order.by or "someone", order.reason or NOTHING)


# ── what happened ───────────────────────────────────────────────────────────


def log(known: History) -> Markup | None:
    """The events, but for measurements that changed nothing."""
    lines = list(_worth_a_line(known.events))
    if not lines:
        return None
    shown: list[Event | int] = [*lines]
    if len(lines) > _LINES:
        shown = [*lines[:_BEGINNING], len(lines) - _LINES, *lines[_BEGINNING - _LINES :]]
    left_out = len(known.events) - len(lines)
    note = tag("p", f"Without {left_out} measurements that changed no verdict.", class_="muted")
    table = _table(("UTC", "What", "Weight", "Said"), map(_line, shown))
    return section("What happened", note if left_out else None, table)


def _worth_a_line(events: Sequence[Event]) -> Iterator[Event]:
    verdicts: dict[Any, Any] = {}
    for event in events:
        if event.kind is Kind.BAKING:
            verdicts.clear()
        if event.kind is Kind.MEASURED:
            name, phase = str(event.data.get("metric")), event.data.get("phase")
            if verdicts.get(name) == phase:
                continue
            verdicts[name] = phase
        yield event


def _line(event: Event | int) -> Sequence[Child]:
    if isinstance(event, int):
        return ("", "", "", tag("em", f"{event} more lines"))
    weight = f"{event.weight} %" if event.weight is not None else NOTHING
    return (time(event.at), event.kind.value.replace("_", " "), weight, event.message)
