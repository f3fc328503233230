"""Sending a deploy once, although answers get lost.

``PUT apply`` has no idempotency key, and a server that gets it twice may start two versions. So it is never
sent again blindly: when no answer came, the service is read first, and if it carries what was asked for, that is
taken for the answer. ``carries`` is the judgement, pure:

* A body that names its version is carried by the version of that name, at the wanted weight.
* One that does not is carried by a version that was not there before and runs the same configuration.
* An update in place keeps its version, so there the configuration alone decides.

A deploy that is run again by another process, after a crash, meets the same question before its first send:
its version may be there already. Only a named version can be recognised then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from anyservice_core.effects import Op, Report, Request, Sleep
from anyservice_core.errors import TransportError, UnavailableError
from anyservice_core.models.wire import ApplyService, ServiceWire, VersionWire
from anyservice_core.operations.sending import ATTEMPTS, LONGEST_RETRY_AFTER_S, send

__all__ = ["Adopted", "already_there", "apply", "carries", "contains"]

SETTLE_S = 2.5

Reread: TypeAlias = Callable[[], Op[ServiceWire | None]]


@dataclass(frozen=True, slots=True)
class Adopted:
    """The version was there already, so it was not sent again."""

    service: str
    version: str

    def __str__(self) -> str:
        return f"{self.service}: version {self.version} is there already, nothing sent"


def apply(body: ApplyService, before: ServiceWire | None, reread: Reread) -> Op[ServiceWire]:
    """Send ``body`` and give back the service; ``reread`` finds it again after a lost answer."""
    request = Request("PUT", "/api/v2/services-v2/apply", json=body.body(), idempotent=False)
    for attempt in range(1, ATTEMPTS):
        try:
            return (yield from send(request, ServiceWire))
        except (TransportError, UnavailableError) as error:
            # What was sent may still be at work: looked at too soon, it is not there yet, and is sent twice.
            asked = getattr(error, "retry_after_s", None) or 0.0
            yield from Sleep(min(max(SETTLE_S * attempt, asked), LONGEST_RETRY_AFTER_S), jitter=0.2)
        landed = yield from reread()
        if landed and (version := carries(landed, body, before)):
            yield from Report(Adopted(landed.name, version.version))
            return landed
    return (yield from send(request, ServiceWire))


def carries(service: ServiceWire, body: ApplyService, before: ServiceWire | None) -> VersionWire | None:
    """The version of ``service`` that ``body`` asked for, if it landed since ``before`` was read."""
    known = set() if body.rollout_strategy == "IN_PLACE" else _ids(before)
    for version in _both(service):
        mine = version.version == body.version if body.version else version.id not in known
        if (
            mine
            and contains(version.ray_serve_config, body.ray_serve_config)
            and _weighs(service, version, body)
        ):
            return version
    return None


def already_there(service: ServiceWire, body: ApplyService) -> VersionWire | None:
    """The version that an earlier run of this same deploy left at the wanted weight, if it named it."""
    if not body.version or body.rollout_strategy == "IN_PLACE" or service.goal_state == "TERMINATED":
        return None
    version = carries(service, body, None)
    if version is None or not _same_ground(version, body):
        return None
    # Without a percentage the traffic moves by itself. Whether a canary is moving or held cannot be told, so
    # only a version that is primary has nothing left to be asked for.
    return version if body.canary_percent is not None or _is_primary(service, version) else None


def _same_ground(version: VersionWire, body: ApplyService) -> bool:
    return (version.build_id, version.compute_config_id) == (body.build_id, body.compute_config_id)


def _weighs(service: ServiceWire, version: VersionWire, body: ApplyService) -> bool:
    if body.canary_percent is None:
        return True
    if _is_primary(service, version):  # alone it has all the traffic, and is nobody's canary
        return service.canary_version is None or body.canary_percent == 100
    return version.weight == body.canary_percent


def _is_primary(service: ServiceWire, version: VersionWire) -> bool:
    return service.primary_version is not None and service.primary_version.id == version.id


def _both(service: ServiceWire | None) -> list[VersionWire]:
    if service is None:
        return []
    return [version for version in (service.canary_version, service.primary_version) if version]


def _ids(service: ServiceWire | None) -> set[str]:
    return {version.id for version in _both(service)}


def contains(theirs: Any, ours: Any) -> bool:
    """Whether ``theirs`` says all that ``ours`` does; a server may fill in more keys."""
    if isinstance(ours, Mapping):
        same = isinstance(theirs, Mapping)
        return same and all(contains(theirs.get(key), value) for key, value in ours.items())
    if isinstance(ours, list | tuple):
        same = isinstance(theirs, list | tuple) and len(theirs) == len(ours)
        return same and all(contains(one, other) for one, other in zip(theirs, ours, strict=True))
    return bool(theirs == ours)
