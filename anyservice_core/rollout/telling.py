"""What is worth telling, in words: pure, so that whoever changes a sentence needs no server."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from anyservice_core.metrics import TO_BE_SHOWN
from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.events import Kind
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.observe import Observation
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import Verdict

__all__ = ["Line", "arrival", "measurements", "opening"]


class Line(NamedTuple):
    """One event before it has a time and a place."""

    kind: Kind
    message: str
    data: dict[str, Any]


def opening(plan: RolloutPlan, journal: Journal, seen: Observation, *, known: bool) -> Iterator[Line]:
    """What is going to happen, and what was found; ``known``: the journal knew of it."""
    ladder = " → ".join([*(f"{weight} %" for weight in plan.weights), "all traffic"])
    name = journal.version_name
    message = f"rolling out {name}: {ladder}, {format_duration(plan.bake_s)} of baking"
    yield Line(Kind.STARTED, message, {"plan": _shown(plan)})
    if seen.canary is not None and seen.canary.ours:
        again = "going on from there" if known else "started by an earlier run, going on from there"
        yield Line(Kind.ADOPTED, f"found {name} at {seen.canary.weight} %, {again}", {})


def _shown(plan: RolloutPlan) -> dict[str, Any]:
    """The plan for people to read: a function may be in it that only this process has."""
    return plan.model_dump(mode="json", exclude_defaults=True, context=TO_BE_SHOWN)


def arrival(plan: RolloutPlan, before: Journal, journal: Journal) -> Iterator[Line]:
    """A new weight was seen, so its bake begins."""
    if journal.weight is None or journal.seen_at == before.seen_at:
        return
    step = plan.step_at(journal.weight)
    bake = step.bake if step else 0.0
    message = f"weight {journal.weight} % seen, baking {format_duration(bake)}"
    yield Line(Kind.BAKING, message, {"bake_s": bake})


def measurements(verdict: Verdict, asked: Collection[str]) -> Iterator[Line]:
    """What the metrics that were just asked say."""
    for finding in verdict.findings:
        if finding.metric in asked:
            numbers = dict(finding.numbers)
            data = {"metric": finding.metric, "phase": finding.phase.value, "numbers": numbers}
            yield Line(Kind.MEASURED, str(finding), data)
