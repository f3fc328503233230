"""Asking the metrics that are due, and writing down what they say."""

from __future__ import annotations

import math

from anyservice_core.effects import Op, Together
from anyservice_core.metrics import Reading, Target, Totals, Unreadable
from anyservice_core.metrics import measure as ask
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

    Health is read off the observation at any time; all else only while the weight is settled. Sources are
    asked side by side, so that a slow one does not hold up the others.
    """
    tallies = dict(journal.tallies)
    now_due = []
    for metric in metrics_at(plan, journal.weight):
        tally = tallies.get(metric.name, Tally())
        if metric.provider == "service":
            tallies[metric.name] = _health(metric, tally, seen)
        elif _is_due(plan, journal, metric, tally, seen):
            now_due.append((metric, tally, _target(metric, tally, journal, seen)))
    readings = yield from _side_by_side([_ask(metric, target) for metric, _, target in now_due])
    told = []
    for (metric, tally, target), reading in zip(now_due, readings, strict=True):
        after = record(metric, tally, reading, seen.at, target.at if target else None)
        tallies[metric.name] = remember(metric, after, journal.history.get(metric.name, ()))
        if after.windows or not isinstance(
            reading, Totals
        ):  # the first totals are only where counting begins
            told.append(metric.name)
    return journal.replace(tallies=tallies), tuple(told)


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
    over_s = journal.baked_s - step.bake
    unseen = over_s >= 0 and tally.at is not None and seen.at - tally.at > over_s
    return due(metric, tally, journal.seen_at, seen.at, last_look=unseen)


def _target(metric: Metric, tally: Tally, journal: Journal, seen: Observation) -> Target | None:
    """The two versions, and the window that begins where the last one that could be read has ended.

    Windows of sources that look back end on whole seconds, which is what stores can be asked for.
    """
    canary, primary = seen.canary, seen.primary
    if canary is None or primary is None:
        return None
    end, start = seen.at - metric.delay_s, tally.until
    if metric.looks_back:
        end = math.floor(end)
    if start is None:
        start = math.ceil((journal.seen_at or seen.at) + metric.initial_delay)
    return Target(
        service_id=seen.service_id,
        canary_id=canary.id,
        canary_name=canary.name,
        primary_id=primary.id,
        primary_name=primary.name,
        window_s=min(max(end - start, 1.0), _LONGEST_WINDOWS * metric.every_s),
        at=end,
        service=seen.service,
        weight=canary.weight,
        query_url=seen.query_url,
        query_auth_token=seen.query_auth_token,
    )


def _side_by_side(asked: list[Op[Reading]]) -> Op[list[Reading]]:
    if len(asked) > 1:
        return (yield from Together(asked))
    return [(yield from asked[0])] if asked else []


def _ask(metric: Metric, target: Target | None) -> Op[Reading]:
    if target is None:
        return Unreadable("there are no two versions to compare")
    return (yield from ask(metric.provider, target, compare=metric.counts))
