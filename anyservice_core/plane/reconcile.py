"""From what is to what was asked for: one pure step, taken again and again.

``step`` looks at a service and at what its hosts and the router say, and gives the service's next
value together with the hosts to start and stop. The daemon saves the value, carries the commands
out and shows the router the new routes. Every command may be given twice and every step may be lost:
the next one starts from what is really there, so a plane that was killed goes on where it was.

The order keeps the promise that no request is dropped:

* A version gets a seat at the router only once its host answers, and traffic one step later.
* A version on its way out loses its weight first, its seat when no request is under way (or after
  ``drain_s``), and its host last: a step apart each, with the router's word for it in between.
* A canary becomes primary a step after the router confirmed that all traffic goes to it.

How a rollout goes on is told in ``rolling``, how a version gets new code without a new version in ``in_place``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.plane import in_place
from anyservice_core.plane.engines.base import EngineState, Observed
from anyservice_core.plane.lifecycle import (
    SERVICE,
    VERSION,
    ServiceEvent,
    VersionEvent,
    advance,
    allowed,
)
from anyservice_core.plane.rolling import roll
from anyservice_core.plane.runs import Run, ends, scales, starts
from anyservice_core.plane.sight import SETTLE_S, Options, Sight
from anyservice_core.plane.state import Routing, Service, Slot, Version

__all__ = ["Options", "Sight", "Step", "step"]


@dataclass(frozen=True)
class Step:
    """The next value, and the hosts to start, to scale and to stop; each list may name what is done already.

    Whoever starts one notes that in the service (``runs.begun``).
    """

    service: Service
    start: tuple[Run, ...] = ()
    stop: tuple[Run, ...] = ()
    scale: tuple[Run, ...] = ()


def step(service: Service, sight: Sight, now: float, options: Options) -> Step:
    """Take one step. Total: any service and any sight give a result, and none is an exception."""
    before = service
    service = _follow_hosts(service, sight, now, options)
    service = roll(service, sight, now, options)  # before seats are given: a seat first, traffic a step later
    service = _seat(service)
    service = _heard(_settle(service), sight, now)
    service = _dated(service, before, now)
    start = tuple(run for v in service.versions for run in starts(v, sight, now))
    stop = tuple(run for v in service.versions for run in ends(v, sight, now, options))
    return Step(service, start, stop, tuple(run for v in service.versions for run in scales(v, sight)))


# ── versions ────────────────────────────────────────────────────────────────


def _follow_hosts(service: Service, sight: Sight, now: float, options: Options) -> Service:
    moved = {
        v.id: _leave(v, sight, now, options)
        if v.state is V.TERMINATING
        else _follow(in_place.follow(v, sight, now, options), sight, now, options)
        for v in service.versions
        if v.state is not V.TERMINATED
    }
    return _replace_versions(service, moved)


_EVENTS: Mapping[EngineState, VersionEvent] = {
    EngineState.RUNNING: VersionEvent.READY,
    EngineState.UNHEALTHY: VersionEvent.SICK,
    EngineState.FAILED: VersionEvent.FAIL,
    EngineState.GONE: VersionEvent.LOST,
}


def _follow(version: Version, sight: Sight, now: float, options: Options) -> Version:
    """Take over what the host that serves says of itself."""
    host = sight.host(version)
    if (
        host.state is not EngineState.GONE and version.starts == 0
    ):  # it was started by a plane that did not live to say so
        version = version.replace(starts=1)
    if host.state is EngineState.STARTING or (host.state is EngineState.GONE and version.starts == 0):
        return version.replace(host_state=host.state, present=host.capacity)
    event = _EVENTS[host.state]
    if event is VersionEvent.LOST and version.failed:
        event = VersionEvent.FAIL if version.state is not V.SYSTEM_FAILURE else VersionEvent.BROKEN
    elif event is VersionEvent.LOST and version.starts >= options.max_starts:
        event = VersionEvent.BROKEN
    well, broken = event is VersionEvent.READY, event is VersionEvent.BROKEN
    return version.replace(
        state=advance(VERSION, version.state, in_place.seen_as(version, event), what=version.name),
        host_state=host.state,
        address=host.address,
        present=_present(version, host),
        message=_message(version, host, event),
        failed=event is VersionEvent.FAIL or (broken and not version.served),
        served=version.served or well,
        starts=1 if well and _steady(version, now, options) else version.starts,
    )


def _present(version: Version, host: Observed) -> tuple[int, int] | None:
    """Give the capacity that is there; of a host that is ill and says nothing of it, what was there."""
    silent = host.capacity is None and host.state is EngineState.UNHEALTHY
    return version.present if silent else host.capacity


def _steady(version: Version, now: float, options: Options) -> bool:
    """Say whether a version has been well for so long that an end of its host would be news."""
    return version.state is V.RUNNING and now - version.since >= options.steady_s


def _message(version: Version, host: Observed, event: VersionEvent) -> str:
    if version.update is not None:  # what became of that is the news
        return version.message
    if event is VersionEvent.READY:
        return ""
    if event is VersionEvent.BROKEN and version.state is not V.SYSTEM_FAILURE:
        last = host.message or version.message or "it left no word"
        return f"its host was started {version.starts} times and ended each time; the last time: {last}"
    return version.message if event is VersionEvent.BROKEN else host.message or version.message


def _leave(version: Version, sight: Sight, now: float, options: Options) -> Version:
    """Give up the seat when no request is under way, then end when every host is gone."""
    if all(sight.of(host).state is EngineState.GONE for host in version.hosts):
        return version.replace(
            state=advance(VERSION, version.state, VersionEvent.GONE, what=version.name),
            slot=None,
            address=None,
        )
    if version.slot and sight.routed and _drained(version, sight, now, options):
        return version.replace(slot=None)
    return version


def _drained(version: Version, sight: Sight, now: float, options: Options) -> bool:
    waited = now - (version.drain_since or now)
    idle = waited >= SETTLE_S and sight.sessions.get(version.id, 0) == 0
    return idle or waited >= options.drain_s


# ── seats and weights ───────────────────────────────────────────────────────

_SERVING = frozenset({V.RUNNING, V.UNHEALTHY, V.UPDATING})


def _seat(service: Service) -> Service:
    """Give a free seat at the router to each version that answers and has none."""
    taken = {slot for slot, _ in service.seats()}
    free: list[Slot] = [slot for slot in ("a", "b") if slot not in taken]
    moved = {}
    for version in service.versions:
        if free and version.slot is None and version.address and version.state in _SERVING:
            moved[version.id] = version.replace(slot=free.pop(0))
    return _replace_versions(service, moved)


# ── the service as a whole ──────────────────────────────────────────────────


def _settle(service: Service) -> Service:
    """Forget versions that ended, and let the service's state follow its primary version."""
    service = service.replace(retiring=tuple(v for v in service.retiring if v.state is not V.TERMINATED))
    if service.state is S.TERMINATING:
        if service.primary.state is V.TERMINATED and not service.retiring:
            state = advance(SERVICE, service.state, ServiceEvent.STOPPED, what=service.name)
            return service.replace(state=state)
        return service
    event = _health(service)
    if event is None or not allowed(SERVICE, service.state, event):
        return service
    primary = service.primary
    ill = event in {ServiceEvent.SICK, ServiceEvent.BROKEN}
    tells = ill and (primary.failed or in_place.failed(primary) or event is ServiceEvent.BROKEN)
    state = advance(SERVICE, service.state, event, what=service.name)
    mended = event is ServiceEvent.UP and service.state is S.SYSTEM_FAILURE
    error = primary.message if tells else None if mended else service.error_message
    return service.replace(state=state, error_message=error)


def _health(service: Service) -> ServiceEvent | None:
    primary = service.primary
    if primary.state is V.RUNNING and primary.ready:
        return ServiceEvent.UP
    if primary.state is V.UPDATING:
        return ServiceEvent.UPDATE
    if primary.state is V.SYSTEM_FAILURE:
        return ServiceEvent.BROKEN
    restarting = primary.state is V.STARTING and service.state is not S.STARTING
    return ServiceEvent.SICK if primary.state is V.UNHEALTHY or restarting else None


def _heard(service: Service, sight: Sight, now: float) -> Service:
    """Keep the router's word: that it obeys, or what it says instead; silence is no news."""
    known = service.routing
    if not sight.routed and not sight.fault:
        return service
    if known is not None and known.fault == sight.fault:
        return service
    return service.replace(routing=Routing(fault=sight.fault, since=now))


def _dated(service: Service, before: Service, now: float) -> Service:
    """Note the time at each version that came into another state."""
    states = {version.id: version.state for version in before.versions}
    moved = {v.id: v.replace(since=now) for v in service.versions if states.get(v.id) is not v.state}
    return _replace_versions(service, moved)


def _replace_versions(service: Service, moved: Mapping[str, Version]) -> Service:
    if not moved:
        return service
    return service.replace(
        primary=moved.get(service.primary.id, service.primary),
        canary=service.canary and moved.get(service.canary.id, service.canary),
        retiring=tuple(moved.get(v.id, v) for v in service.retiring),
    )
