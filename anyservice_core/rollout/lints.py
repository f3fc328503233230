"""What is allowed in a plan, and still deserves a second thought."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.forecast import Expected, decides_after, requests_of
from anyservice_core.rollout.judge import metrics_at
from anyservice_core.rollout.metric import Metric
from anyservice_core.rollout.plan import RolloutPlan, Step
from anyservice_core.rollout.windows import Move, Window, WindowKind, closed

__all__ = ["PLATFORM_LIMIT_S", "compared_at", "lint", "open_share"]

# Anyscale's documentation has said that a rollout not complete after this long is rolled back by the platform.
PLATFORM_LIMIT_S = 120 * 60.0
_LOOKS = 3
_DAY_S = 86_400.0
_AHEAD_S = 28 * _DAY_S
_PATIENCE_S = 7 * _DAY_S
_RARE = 0.01
_BOUNDARIES = 1_000


def lint(
    plan: RolloutPlan,
    *,
    limit_s: float = PLATFORM_LIMIT_S,
    at: float | None = None,
    expected: Expected | None = None,
) -> list[str]:
    """Warnings, one sentence each.

    ``limit_s``: what the platform allows a rollout to take. ``at``: the time, to look at windows from, in seconds
    since the epoch; without it they are not looked at. ``expected``: the traffic, to tell whether comparisons can
    decide in time.
    """
    return [
        *(warning for step in plan.steps for warning in _step(plan, step)),
        *_limit(plan, limit_s),
        *_blind(plan),
        *(_windows(plan, at) if at is not None else ()),
        *(_traffic(plan, expected) if expected is not None else ()),
    ]


def compared_at(plan: RolloutPlan, step: Step) -> list[Metric]:
    """The metrics of a step that compare what users get, so that traffic decides how soon they can tell."""
    return [
        metric for metric in metrics_at(plan, step.weight) if metric.needs_users and step.weight and step.bake
    ]


def _step(plan: RolloutPlan, step: Step) -> Iterator[str]:
    for metric in metrics_at(plan, step.weight):
        needed = metric.initial_delay + _LOOKS * metric.every_s
        if metric.provider != "service" and not metric.dry_run and step.bake < needed:
            yield (
                f"weight {step.weight}: bakes {format_duration(step.bake)}, less than three intervals of "
                f"{metric.name!r}; give it {format_duration(needed)} or more"
            )


def _limit(plan: RolloutPlan, limit_s: float) -> Iterator[str]:
    beyond = f"the managed platform may roll back a rollout that takes more than {format_duration(limit_s)}"
    waits = [approval.timeout for approval in plan.approvals]
    if plan.bake_s > limit_s:
        yield f"the steps bake {format_duration(plan.bake_s)} in all; {beyond}"
    elif None in waits:
        yield f"an approval without a timeout may take for ever; {beyond}"
    elif plan.bake_s + sum(filter(None, waits)) > limit_s:
        whole = format_duration(plan.bake_s + sum(filter(None, waits)))
        yield f"bakes and approvals may take {whole} in all; {beyond}"


def _blind(plan: RolloutPlan) -> Iterator[str]:
    if not any(metric.provider != "service" and not metric.dry_run for metric in plan.metrics):
        yield "no metric but the service's own health: errors of the application will not stop it"


# ── windows ─────────────────────────────────────────────────────────────────

_CALLED = {Move.START: "start", Move.ADVANCE: "advance", Move.PROMOTE: "promote"}


def _windows(plan: RolloutPlan, at: float) -> Iterator[str]:
    for move in Move:
        shut, share = closed(plan.windows, move, at), open_share(plan.windows, move, at)
        if shut is not None and shut.opens_at is None:
            yield f"windows: it may not {_CALLED[move]} at any time that is in sight ({shut.reason})"
        elif share < _RARE:
            yield f"windows: it may {_CALLED[move]} in only {share:.1%} of the next four weeks"
        elif shut is not None and shut.opens_at is not None and shut.opens_at - at > _PATIENCE_S:
            day = datetime.fromtimestamp(shut.opens_at, UTC)
            yield f"windows: it may not {_CALLED[move]} before {day:%a %d %b %Y %H:%M} UTC ({shut.reason})"


def open_share(windows: tuple[Window, ...], move: Move, at: float) -> float:
    """Which share of the four weeks after ``at`` a move is free in; of less, where windows come thick and fast."""
    about = [window for window in windows if move in window.actions]
    time, end, free = at, at + _AHEAD_S, 0.0
    for _ in range(_BOUNDARIES):
        moments = [
            moment for window in about for moment in (window.until(time), window.opens(time)) if moment
        ]
        following = min([end, *moments])
        free += following - time if _is_free(about, time) else 0.0
        time = following
        if time >= end:
            break
    return free / (time - at)


def _is_free(about: list[Window], at: float) -> bool:
    is_open = {kind: [w.until(at) is not None for w in about if w.kind is kind] for kind in WindowKind}
    allowed = is_open[WindowKind.ALLOW]
    return not any(is_open[WindowKind.DENY]) and (any(allowed) or not allowed)


# ── traffic ─────────────────────────────────────────────────────────────────


def _traffic(plan: RolloutPlan, expected: Expected) -> Iterator[str]:
    """An inconclusive bake is no harm, but nothing that anyone plans for."""
    for metric in plan.metrics:
        steps = [step for step in plan.steps if metric in compared_at(plan, step) and not metric.dry_run]
        if steps and metric.compare and metric.compare.max_rate is None:
            yield f"{metric.name!r} cannot pass while nothing errs, as its `max_rate` is null"
        for step in steps:
            yield from _comparison(plan, step, metric, expected)


def _comparison(plan: RolloutPlan, step: Step, metric: Metric, expected: Expected) -> Iterator[str]:
    usual, quiet = f"at {expected.bad * 100:g} % errors", Expected(expected.per_s)
    what = f"weight {step.weight}: {metric.name!r}"
    bake, count = format_duration(step.bake), requests_of(expected, step, step.bake)
    then = f"`on_inconclusive` ({plan.on_inconclusive}) would follow"
    if decides_after(plan, step, metric, expected) is not None:
        return
    if decides_after(plan, step, metric, quiet) is not None:
        takes = _takes(plan, step, metric, expected)
        yield f"{what} decides within its bake of {bake} only if next to nothing errs; {usual} {takes}; {then}"
        return
    alone = metric.compare is not None and metric.compare.max_rate is not None
    takes = (
        f"without errors {_takes(plan, step, metric, quiet)}"
        if alone
        else f"{usual} {_takes(plan, step, metric, expected)}"
    )
    yield f"{what} cannot decide within its bake of {bake}, in which the canary gets {count:.0f} requests; {takes}; {then}"


def _takes(plan: RolloutPlan, step: Step, metric: Metric, expected: Expected) -> str:
    span_s = step.bake
    while span_s < _PATIENCE_S:  # doubled, since a forecast is the coarser the longer it looks ahead
        span_s = min(2 * span_s, _PATIENCE_S)
        needed = decides_after(plan, step, metric, expected, within_s=span_s)
        if needed is not None:
            return f"it takes about {format_duration(needed)} or {requests_of(expected, step, needed):.0f} requests"
    return "a week would not be enough"
