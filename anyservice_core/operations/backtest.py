"""Replaying a plan over an interval of the past, to see what it would have caught, and what it lets through.

The engine that runs rollouts is run here too, journal, judge and decisions, on observations that are made up: the
canary runs at its weight, and so does the primary. Only the metrics are real, asked for what they knew at each
moment of the interval. Nothing but metric stores is asked, and of the control plane what the service is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from anyservice_core.effects import Now, Op
from anyservice_core.errors import ConfigError
from anyservice_core.metrics.past import names_in
from anyservice_core.models.enums import ServiceVersionState
from anyservice_core.models.status import ServiceStatus, ServiceVersionStatus
from anyservice_core.operations import services
from anyservice_core.operations.replaying import Replay
from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.moment import parse_moment
from anyservice_core.rollout.observe import Seen
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.replay import Backtest, left_out, most_queries, replayable

__all__ = ["MAX_QUERIES", "backtest"]

MAX_QUERIES: Final = 5_000


def backtest(
    plan: RolloutPlan | Mapping[str, Any] | str | Path,
    *,
    canary: str,
    primary: str,
    start: str | float | datetime,
    end: str | float | datetime = "now",
    canary_name: str | None = None,
    primary_name: str | None = None,
    service: str | None = None,
    step_weights: bool = False,
    max_queries: int = MAX_QUERIES,
    cloud: str | None = None,
    project: str | None = None,
) -> Op[Backtest]:
    """What a plan would have made of the past. Nothing is deployed, moved or taken back.

    ``canary`` and ``primary`` are the ids of two versions that both served from ``start`` to ``end``: times in ISO 8601
    (UTC unless they have an offset), or how long ago, as ``2h``. Their names, where queries ask for them, are
    ``canary_name`` and ``primary_name``, or those that the ``service`` has for them now.

    The interval is one step at the plan's last weight, to its end; with ``step_weights`` the plan's steps follow
    one another, each for its bake, and evidence begins anew at each. Metrics that cannot be asked about the past,
    approvals and windows are left out, and named in the result. The metric stores are sent ``max_queries`` requests
    at most.

    Raises ``ConfigError`` where nothing can be replayed, or a metric could never be read.
    """
    whole = RolloutPlan.parse(plan)
    now = yield from Now()
    interval = _interval(start, end, now)
    past = _checked(whole, interval, walked=step_weights, max_queries=max_queries)
    known = None
    if service is not None:
        known = yield from services.glance(service, cloud=cloud, project=project)
    sides = _sides(past, known, _Asked(canary, canary_name), _Asked(primary, primary_name))
    missing = tuple(left_out(whole))
    replay = Replay(past, interval, sides, known, missing, walked=step_weights, allowed=max_queries)
    return (yield from replay.run())


# ── when ────────────────────────────────────────────────────────────────────


def _interval(start: str | float | datetime, end: str | float | datetime, now: float) -> tuple[float, float]:
    since, until = _moment("start", start, now), _moment("end", end, now)
    if since >= until:
        raise ConfigError(f"start: {start} is not before {end}.", hint="Give the earlier time first.")
    if until > now:
        raise ConfigError(f"end: {end} is yet to come.", hint="Leave it out to replay up to now.")
    return since, until


def _moment(field: str, value: str | float | datetime, now: float) -> float:
    try:
        return parse_moment(value, now)
    except ValueError as error:
        raise ConfigError(f"{field}: {error}.") from None


# ── what ────────────────────────────────────────────────────────────────────


def _checked(
    plan: RolloutPlan, interval: tuple[float, float], *, walked: bool, max_queries: int
) -> RolloutPlan:
    """The plan as far as it can be replayed."""
    length_s = interval[1] - interval[0]
    if not plan.steps:
        raise ConfigError("steps: the plan has none, so nothing of it is judged.", hint="Give it `steps`.")
    if walked and plan.bake_s > length_s:
        raise ConfigError(
            f"The steps bake {format_duration(plan.bake_s)}, and the interval is {format_duration(length_s)} long.",
            hint="Begin earlier, or take the interval as one step, without step_weights.",
        )
    past = replayable(plan, length_s, walked=walked)
    if not past.metrics:
        why = "; ".join(map(str, left_out(plan)))
        raise ConfigError(
            f"metrics: none of the plan's can be asked about the past ({why}).",
            hint="Give it one with the provider prometheus.",
        )
    most = most_queries(past, past.bake_s if walked else length_s)
    if most > max_queries:
        raise ConfigError(
            f"It may take {most} requests to the metric stores, and {max_queries} are allowed.",
            hint="Take a shorter interval or a longer `interval` of the metrics, or allow more: max_queries.",
        )
    return past


# ── of which versions ───────────────────────────────────────────────────────


class _Asked(NamedTuple):
    """A version as the caller names it: by its id, or by the name that the service knows."""

    id: str
    name: str | None


def _sides(
    plan: RolloutPlan, known: ServiceStatus | None, canary: _Asked, primary: _Asked
) -> tuple[Seen, Seen]:
    """Both versions, as they would have been seen."""
    if not canary.id or not primary.id or canary.id == primary.id:
        raise ConfigError(
            f"canary: {canary.id!r} and primary: {primary.id!r} are not two versions.",
            hint="Give the ids of two that served side by side.",
        )
    names = {name for metric in plan.metrics for name in names_in(metric.provider)}
    if known is None and names & {"service.id", "service.name"}:
        raise ConfigError("service: the queries name it, so it must be said.", hint="Give its name.")
    return _side("canary", canary, known, names), _side("primary", primary, known, names)


def _side(side: str, asked: _Asked, known: ServiceStatus | None, names: set[str]) -> Seen:
    found = _found(asked.id, known)
    id, name = (found.id, asked.name or found.name) if found else asked
    if name is None and not names & {"version.id", f"{side}.id"}:
        name = id  # nothing asks for an id, so it is the name that was meant
    if name is None and names & {"version.name", f"{side}.name"}:
        raise ConfigError(
            f"{side}_name: the queries ask for names of versions, and that of {id} is not known.",
            hint=f"Give {side}_name, or the service that has it.",
        )
    return Seen(id, name or id, ServiceVersionState.RUNNING, weight=0, ours=side == "canary")


def _found(id: str, known: ServiceStatus | None) -> ServiceVersionStatus | None:
    versions = (known.primary_version, known.canary_version, *known.versions) if known else ()
    return next((one for one in versions if one is not None and id in {one.id, one.name}), None)
