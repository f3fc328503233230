"""Asking the metrics that are due, and writing down what they say."""

from __future__ import annotations

from anyservice_core.effects import Op
from anyservice_core.metrics import Reading, Target, Totals, Unreadable, measure_prometheus, measure_router
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.judge import metrics_at, remember
from anyservice_core.rollout.metric import Metric
from anyservice_core.rollout.observe import Observation
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import Phase
from anyservice_core.rollout.tally import Tally, due, record

__all__ = ["measure"]

_LONGEST_WINDOWS = 10


def measure(plan: RolloutPlan, journal: Journal, seen: Observation) -> Op[tuple[Journal, tuple[str, ...]]]:
    """The journal with what was measured just now, and the names of the metrics that were asked.

    Health is read off the observation at any time; all else only while the weight is settled.
    """
    tallies = dict(journal.tallies)
    asked = []
    for metric in metrics_at(plan, journal.weight):
        tally = tallies.get(metric.name, Tally())
        if metric.provider == "service":
            tallies[metric.name] = _health(metric, tally, seen)
        elif _is_due(plan, journal, metric, tally, seen):
            reading = yield from _ask(metric, tally, journal, seen)
            tally = record(metric, tally, reading, seen.at)
            tallies[metric.name] = remember(metric, tally, journal.history.get(metric.name, ()))
            if tally.windows or not isinstance(
                reading, Totals
            ):  # the first totals are only where counting begins
                asked.append(metric.name)
    return journal.replace(tallies=tallies), tuple(asked)


def _health(metric: Metric, tally: Tally, seen: Observation) -> Tally:
    """Every interval once, the state of our version: only RUNNING and UNHEALTHY say something."""
    ours = seen.ours
    too_soon = tally.at is not None and tally.at <= seen.at < tally.at + metric.every_s
    if (
        ours is None
        or not (ours.running or ours.unhealthy)
        or (too_soon and ours.unhealthy == bool(tally.failed_in_row))
    ):
        return tally
    phase = Phase.FAILED if ours.unhealthy else Phase.SUCCESSFUL
    return tally.count(phase).replace(at=seen.at)


def _is_due(plan: RolloutPlan, journal: Journal, metric: Metric, tally: Tally, seen: Observation) -> bool:
    step = plan.step_at(journal.weight) if journal.weight is not None else None
    if not journal.settled or step is None or journal.seen_at is None:
        return False
    return due(metric, tally, journal.seen_at, seen.at, last_look=journal.baked_s >= step.bake)


def _ask(metric: Metric, tally: Tally, journal: Journal, seen: Observation) -> Op[Reading]:
    canary, primary = seen.canary, seen.primary
    if canary is None or primary is None:
        return Unreadable("there are no two versions to compare")
    since = tally.at if tally.at is not None else journal.seen_at or seen.at
    target = Target(
        service_id=seen.service_id,
        canary_id=canary.id,
        canary_name=canary.name,
        primary_id=primary.id,
        primary_name=primary.name,
        window_s=min(max(seen.at - since, 1.0), _LONGEST_WINDOWS * metric.every_s),
    )
    if isinstance(metric.provider, str):
        return (yield from measure_router(target))
    return (yield from measure_prometheus(metric.provider, target))
