"""How a rollout goes on: the canary's weight, its promotion, and when the plane takes it back by itself.

A held rollout stays at the percent that was asked for; an automatic one climbs the ladder, a rung whenever
the last one was held for ``ladder_hold_s`` by a canary that is well. At 100, and with the router's word for
it, the canary becomes primary. The plane rolls back, with the reason as the service's error, when

* the canary failed to start, or its host keeps dying;
* it has been UNHEALTHY for ``sick_canary_s`` and the rollout is automatic (whoever holds one, decides);
* the rollout takes longer than ``rollout_limit_s``, counted from the deploy that brought the canary.

The last two wait while that would end all service: the canary answers and the primary does not. A split that
is meant to stay (``several``) has no limit.

With a ``max_surge_percent`` below 100 the weight moves in steps, as far as both versions have the capacity
(``capacity``); a rung is held from when its weight was reached. A rollback that is asked for with one goes back in
the same way, unless the canary does not answer or is not well, or it takes longer than ``rollout_limit_s``. All
others, the plane's own among them, take the traffic from the canary at once.
"""

from __future__ import annotations

from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.plane.capacity import WHOLE, alone, pace, room
from anyservice_core.plane.changes import bears, retire, roll_back
from anyservice_core.plane.lifecycle import SERVICE, ServiceEvent, advance
from anyservice_core.plane.sight import Options, Sight
from anyservice_core.plane.state import Rollout, Service, Version

__all__ = ["roll"]


def roll(service: Service, sight: Sight, now: float, options: Options) -> Service:
    """Take a step of the rollout under way, if there is one."""
    canary, rollout = service.canary, service.rollout
    if service.state is S.ROLLING_BACK:
        return _restored(service) if rollout is None else _give_back(service, rollout, sight, now, options)
    if service.state is not S.ROLLING_OUT or canary is None or rollout is None:
        return service
    if why := _hopeless(service, canary, rollout, now, options):
        return roll_back(service, now, why=f"Version '{canary.name}' was rolled back because {why}")
    if canary.weight == 100 and sight.routed and canary.state is V.RUNNING:
        return _promote(service, now)
    rollout = _climb(service, canary, rollout, now, options)
    return _move(service.replace(rollout=rollout), canary, rollout, sight, now)


def _hopeless(
    service: Service, canary: Version, rollout: Rollout, now: float, options: Options
) -> str | None:
    """Say why the canary is to be taken back, if it is."""
    if canary.state is V.SYSTEM_FAILURE:
        return f"its host keeps dying: {canary.message}"
    if canary.failed:
        return f"it failed to start: {canary.message}"
    if canary.ready and not service.primary.ready:
        return None
    sick_s = now - canary.since if canary.state is V.UNHEALTHY else 0.0
    if rollout.automatic and sick_s >= options.sick_canary_s:
        return f"it was not well for {options.sick_canary_s:g} s: {canary.message}"
    if not rollout.lasting and 0 < options.rollout_limit_s <= now - canary.created_at:
        return (
            f"the rollout took longer than {_span(options.rollout_limit_s)}"
            f" and was at {canary.weight} %, {canary.state}."
        )
    return None


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _move(service: Service, canary: Version, rollout: Rollout, sight: Sight, now: float) -> Service:
    """Move traffic and capacity towards the percent that the canary shall have, as far as may be by now."""
    primary = service.primary
    leaving = sum(version.side.taken for version in service.retiring if version.state is not V.TERMINATED)
    if canary.ready and canary.state in {V.RUNNING, V.UNHEALTHY}:
        split = pace(
            primary.side,
            canary.side,
            weight=canary.weight,
            goal=rollout.percent,
            surge=rollout.surge,
            obeyed=sight.routed,
            leaving=leaving,
        )
    else:
        split = alone(rollout.percent, rollout.surge, leaving)
    if room(rollout.surge) is not None and canary.weight != split.weight == rollout.percent:
        rollout = rollout.replace(since=now)
    return service.replace(
        rollout=rollout,
        primary=primary.replace(weight=100 - split.weight, capacity=split.primary),
        canary=canary.replace(weight=split.weight, capacity=split.canary),
    )


def _give_back(service: Service, rollout: Rollout, sight: Sight, now: float, options: Options) -> Service:
    """Go on with a rollback in steps, to its end: at once where the canary cannot bear any traffic or time is up."""
    late = 0 < options.rollout_limit_s <= now - rollout.since
    if service.canary is None or not bears(service.canary) or late:
        return roll_back(service, now)
    return _move(service, service.canary, rollout, sight, now)


def _climb(service: Service, canary: Version, rollout: Rollout, now: float, options: Options) -> Rollout:
    """Move an automatic rollout up the ladder when its present rung was held long enough."""
    if not rollout.automatic or not canary.ready or canary.state is not V.RUNNING:
        return rollout
    if not service.primary.ready:  # nothing serves beside it: there is nobody to spare
        return rollout.replace(percent=100, since=now)
    held = canary.weight == rollout.percent and now - rollout.since >= options.ladder_hold_s
    if rollout.percent and not held:
        return rollout
    rung = next((r for r in options.ladder if r > rollout.percent), 100)
    return rollout.replace(percent=rung, since=now)


def _promote(service: Service, now: float) -> Service:
    if service.canary is None:
        return service
    return service.replace(
        state=advance(SERVICE, service.state, ServiceEvent.PROMOTED, what=service.name),
        primary=service.canary.replace(capacity=WHOLE),
        canary=None,
        rollout=None,
        retiring=(*service.retiring, retire(service.primary, now)),
    )


def _restored(service: Service) -> Service:
    if service.canary is not None and service.canary.state is not V.TERMINATED:
        return service
    state = advance(SERVICE, service.state, ServiceEvent.RESTORED, what=service.name)
    return service.replace(state=state, canary=None, rollout=None)
