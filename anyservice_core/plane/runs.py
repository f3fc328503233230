"""Which hosts of a version are to be started and to be ended now, and what is remembered of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.plane import in_place
from anyservice_core.plane.capacity import WHOLE
from anyservice_core.plane.engines.base import EngineState
from anyservice_core.plane.sight import Options, Sight
from anyservice_core.plane.state import Service, Version

__all__ = ["Run", "begun", "cannot_start", "ends", "scales", "starts"]

_STARTABLE = frozenset({V.STARTING, V.UNHEALTHY, V.UPDATING, V.SYSTEM_FAILURE})


@dataclass(frozen=True)
class Run:
    """A host: its id, its engine's name, what it shall run and how much of it.

    What does not matter for one to stop; for one to scale, only how much.
    """

    host: str
    engine: str
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False)
    capacity: int = WHOLE


def starts(version: Version, sight: Sight, now: float) -> Iterator[Run]:
    """Give the hosts to start: the one that serves if it is lost, the one that shall serve if there is one."""
    if version.state not in _STARTABLE:
        return
    lost = sight.host(version).state is EngineState.GONE
    if lost and not version.failed and now >= version.start_after:
        yield Run(version.host, version.engine, version.spec, version.capacity)
    if version.update and in_place.wants_start(version, sight, now):
        coming = version.host_of(version.update.generation)
        yield Run(coming, version.engine, version.update.spec, version.capacity)


def scales(version: Version, sight: Sight) -> Iterator[Run]:
    """Give the hosts that have another capacity than they shall have."""
    if version.state in {V.TERMINATING, V.TERMINATED}:
        return
    for host in version.hosts:
        there = sight.of(host).capacity
        if there is not None and set(there) != {version.capacity}:
            yield Run(host, version.engine, capacity=version.capacity)


def begun(service: Service, host: str, now: float) -> Service:
    """Count a start of this host, and put the next one off for longer each time.

    Only what was started is counted: a plane that ends before that has not shown that the host keeps dying.
    """

    def counted(version: Version) -> Version:
        update = version.update
        if host == version.host:
            later = _backoff(version.starts, now)
            return version.replace(starts=version.starts + 1, start_after=later)
        if update and host == version.host_of(update.generation):
            later = _backoff(update.starts, now)
            return version.replace(update=update.replace(starts=update.starts + 1, start_after=later))
        return version

    canary = counted(service.canary) if service.canary else None
    return service.replace(primary=counted(service.primary), canary=canary)


def _backoff(starts: int, now: float) -> float:
    return now + min(60.0, 2.0**starts)


def ends(version: Version, sight: Sight, now: float, options: Options) -> Iterator[Run]:
    """Give the hosts to end: all, once a version on its way out has no seat; else those an update replaced."""
    leaving = version.state is V.TERMINATING
    over = version.hosts if version.slot is None else ()
    for host in over if leaving else in_place.ends(version, sight, now, options):
        yield Run(host, version.engine)


def cannot_start(service: Service, host: str, why: str, *, again: bool = False) -> Service:
    """Note that a host could not even begin, so that the next step gives it up, or tries ``again``."""

    def told(version: Version | None) -> Version | None:
        if version is None or host not in version.hosts:
            return version
        if host == version.host:
            return version.replace(failed=not again, message=why)
        return in_place.give_up(version, why)

    return service.replace(primary=told(service.primary), canary=told(service.canary))
