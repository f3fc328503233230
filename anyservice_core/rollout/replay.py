"""A plan's judge, asked about the past: what of the plan can be replayed, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from anyservice_core.metrics.past import knows_the_past, requests_each
from anyservice_core.rollout.events import Event
from anyservice_core.rollout.facts import moment, outcome_word
from anyservice_core.rollout.history import history
from anyservice_core.rollout.metric import Metric
from anyservice_core.rollout.plan import RolloutPlan, Step
from anyservice_core.rollout.report import Phase, RolloutReport

__all__ = [
    "A_MOMENT_S",
    "Backtest",
    "LeftOut",
    "Point",
    "Replaying",
    "Track",
    "left_out",
    "most_queries",
    "queries_of",
    "replayable",
]

A_MOMENT_S: Final = 0.001  # bakes are that much shorter, lest sums of floats end them after their last look


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class LeftOut(_Part):
    """Something of the plan that cannot be replayed, and why."""

    name: str
    why: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.name}: {self.why}"


class Point(_Part):
    """One measurement, and the verdict so far. ``at``: seconds since the epoch."""

    at: float
    weight: int
    phase: Phase
    message: str
    numbers: Mapping[str, float] = {}


class Track(_Part):
    """One metric through the interval, with its last verdict.

    ``failed_at``, ``passed_at``: when its verdict was so first, ``None`` if it never was.
    """

    metric: str
    phase: Phase
    failed_at: float | None = None
    passed_at: float | None = None
    points: tuple[Point, ...] = ()


class Backtest(_Part):
    """What a plan would have made of an interval of the past.

    ``report`` is the one that the rollout would have had; ``decided_at`` is when it would have ended, ``None`` if the
    interval was over before that. ``left_out`` is what could not be replayed. ``walked``: step by step, else the whole
    interval as one step. ``queries`` is how many requests it took. Times are seconds since the epoch.
    """

    report: RolloutReport
    events: tuple[Event, ...]
    start: float
    end: float
    decided_at: float | None = None
    left_out: tuple[LeftOut, ...] = ()
    walked: bool = False
    queries: int = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Each metric's way through the interval."""
        known = history(self.report, self.events).metrics
        return tuple(
            Track(
                metric=name,
                phase=points[-1].phase,
                failed_at=next((point.at for point in points if point.phase is Phase.FAILED), None),
                passed_at=next((point.at for point in points if point.phase is Phase.SUCCESSFUL), None),
                points=tuple(
                    Point(at=p.at, weight=p.weight, phase=p.phase, message=p.message, numbers=p.numbers)
                    for p in points
                ),
            )
            for name, points in known.items()
        )

    @property
    def note(self) -> str:
        """What whoever reads the result should know of how it came about."""
        if self.walked:
            how = "The plan's weights were walked through, each for as long as it bakes"
        else:
            how = f"The whole interval was taken as one step, at {self.events[0].weight} %"
        missing = "; ".join(map(str, self.left_out))
        return (
            f"The past was asked, from {moment(self.start)} to {moment(self.end)}, and nothing was done to the "
            f"service. {how}; users had the weights that they had. Left out: {missing}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values."""
        report = self.report
        return {
            "outcome": report.outcome.value,
            "reason": report.reason,
            "pause": report.pause,
            "service": report.service if report.service_id else None,
            "canary": report.version,
            "primary": report.baseline_version,
            "start": self.start,
            "end": self.end,
            "decided_at": self.decided_at,
            "walked": self.walked,
            "queries": self.queries,
            "left_out": [one.model_dump() for one in self.left_out],
            "steps": [step.model_dump(mode="json") for step in report.steps],
            "metrics": [track.model_dump(mode="json") for track in self.tracks],
        }

    def __str__(self) -> str:
        """One line."""
        return f"{outcome_word(self.report).text}: {self.report.reason}"


@dataclass(frozen=True, slots=True)
class Replaying:
    """How far a replay is: of the interval, in percent, and in requests of at most so many."""

    percent: int
    queries: int
    most: int

    def __str__(self) -> str:
        """One line."""
        return f"replayed {self.percent} % of the interval, {self.queries} queries of at most {self.most}"


def replayable(plan: RolloutPlan, length_s: float, *, walked: bool) -> RolloutPlan:
    """The plan with what the past can answer: no gates, no metrics that know the present only.

    Unless it is ``walked``, its last step is as long as the interval, and judged by all metrics.
    """
    metrics = tuple(metric for metric in plan.metrics if knows_the_past(metric.provider) is None)
    names = {metric.name for metric in metrics}
    steps = [_bare(step, names) for step in plan.steps]
    if not walked:
        steps[-1] = steps[-1].model_copy(update={"bake": length_s - A_MOMENT_S, "analysis": None})
    return plan.model_copy(
        update={"metrics": metrics, "steps": tuple(steps), "promotion": None, "windows": ()}
    )


def _bare(step: Step, names: set[str]) -> Step:
    analysis = None if step.analysis is None else tuple(name for name in step.analysis if name in names)
    bake = max(step.bake - A_MOMENT_S, 0.0)
    return step.model_copy(update={"approval": None, "analysis": analysis, "bake": bake})


def left_out(plan: RolloutPlan) -> Iterator[LeftOut]:
    """What ``replayable`` leaves out."""
    for metric in plan.judges:
        if (why := knows_the_past(metric.provider)) is not None:
            yield LeftOut(name=metric.name, why=why)
    if plan.approvals:
        yield LeftOut(name="approvals", why="people were not asked")
    if plan.windows:
        yield LeftOut(name="windows", why="a replay has no time of day")


def queries_of(metric: Metric) -> int:
    """How many requests one measurement is, at most."""
    return requests_each(metric.provider, compare=metric.counts)


def most_queries(plan: RolloutPlan, length_s: float) -> int:
    """How many requests a replay of this plan over so many seconds is, while its stores answer."""
    return sum((ceil(length_s / metric.every_s) + 1) * queries_of(metric) for metric in plan.metrics)
