"""When a comparison could decide, if traffic and errors were as expected.

No second statistics: the windows that a step would bring are made up, each with the errors that are due by then, and
the judge is asked what it says of them. So a forecast says what a rollout would, on a day without luck.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from anyservice_core.rollout.evidence import Window
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.judge import judge
from anyservice_core.rollout.metric import Metric
from anyservice_core.rollout.plan import RolloutPlan, Step
from anyservice_core.rollout.report import Phase
from anyservice_core.rollout.tally import Tally

__all__ = ["Expected", "decides_after", "requests_of"]

# Longer spans are made of wider windows: what they say together is much the same.
_MOST_WINDOWS = 1_000


@dataclass(frozen=True, slots=True)
class Expected:
    """The traffic that is expected: requests a second of both versions, and the share that is bad on the primary.

    ``ratio``: how many times that share the canary's is.
    """

    per_s: float
    bad: float = 0.0
    ratio: float = 1.0


def requests_of(expected: Expected, step: Step, span_s: float) -> float:
    """How many requests the canary answers at this step in so many seconds."""
    return expected.per_s * step.weight / 100 * span_s


def decides_after(
    plan: RolloutPlan, step: Step, metric: Metric, expected: Expected, *, within_s: float | None = None
) -> float | None:
    """Seconds at the step until ``metric`` says that the canary is fine, or that it is not.

    ``None`` if that is not within the bake, or ``within_s`` instead.
    """
    first_s = metric.initial_delay + metric.delay_s
    span_s = max((step.bake if within_s is None else within_s) - first_s, 0.0)
    every_s = max(metric.every_s, span_s / _MOST_WINDOWS)
    count = int(span_s / every_s)
    windows = [*_windows(expected, step, every_s, count)]

    def decided(number: int) -> bool:
        return _says(plan, step, metric, windows[:number]) in {Phase.SUCCESSFUL, Phase.FAILED}

    number = bisect_left(range(count + 1), True, key=decided)  # evidence grows with what is counted
    return first_s + number * every_s if number <= count else None


def _says(plan: RolloutPlan, step: Step, metric: Metric, windows: list[Window]) -> Phase:
    journal = Journal.fresh("", "", 0, 0.0).replace(
        weight=step.weight, tallies={metric.name: Tally(windows=tuple(windows))}
    )
    found = (finding.phase for finding in judge(plan, journal).findings if finding.metric == metric.name)
    return next(found, Phase.INCONCLUSIVE)


def _windows(expected: Expected, step: Step, every_s: float, count: int) -> Iterator[Window]:
    """Windows whose sums are as expected, in whole requests."""
    share = step.weight / 100
    a_window = expected.per_s * every_s
    canary, primary = a_window * share, a_window * (1 - share)
    bad = min(expected.bad * expected.ratio, 1.0)
    rates = (canary, canary * bad, primary, primary * expected.bad)
    sums = [tuple(int(rate * number) for rate in rates) for number in range(count + 1)]
    for before, after in pairwise(sums):
        yield Window(*(new - old for old, new in zip(before, after, strict=True)))
