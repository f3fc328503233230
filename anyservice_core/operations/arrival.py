"""Whether a deploy has arrived, judged by what is there now and what was there before. Pure.

It is asked when no answer came, and when a deploy is run again by another process. ``judge`` knows three ends:

* *Arrived*: the version that was asked for is there. One that was not there before is ours whatever its weight: a
  canary on its way to 10 % is seen at 0 first, and so is one that starts. One that was there before has been asked
  to move, so there the weight that it is meant to have decides.
* *Untouched*: nothing has happened to the service, so nothing has arrived, and sending it again does no harm.
* *Changed*: the service is not as it was, and ours is not there. It may have come and been taken back by a person, or
  be under a newer deploy. Sending it again would undo what somebody else has done since, so nobody but them can say.

A version is the one that was asked for if it has the name that was asked for. Without a name it is one that was
not there before, or the canary, and runs the configuration that was asked for. An update in place keeps its version, so
there the configuration alone decides, and sending it again brings about the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from anyservice_core.models.wire import ApplyService, ServiceWire, VersionWire

__all__ = [
    "Arrived",
    "Changed",
    "Landing",
    "Untouched",
    "already_there",
    "canary_meant",
    "contains",
    "is_down",
    "judge",
    "made",
]

_ENDED = frozenset({"TERMINATING", "TERMINATED"})
_BACK = "ROLLING_BACK"


@dataclass(frozen=True, slots=True)
class Arrived:
    """The version that was asked for is there."""

    version: VersionWire


@dataclass(frozen=True, slots=True)
class Untouched:
    """Nothing has happened."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Something else has happened: ``what``, as the end of a sentence."""

    what: str


Landing: TypeAlias = Arrived | Untouched | Changed


def judge(body: ApplyService, before: ServiceWire | None, now: ServiceWire | None) -> Landing:
    """Whether ``body``, sent when the service was as in ``before``, has arrived in what it is ``now``."""
    if now is None:
        return Untouched() if before is None else Changed("it is gone")
    if is_down(now):
        return Untouched() if before and is_down(before) else Changed("it was terminated")
    known = _versions(before)
    for version in _versions(now).values():
        was = known.get(version.id) if before and not is_down(before) else None
        if _is_asked_for(version, body, was, now):
            return Arrived(version) if was is None else _moved(body, before, now, version)
    return _without_ours(body, before, now)


def already_there(service: ServiceWire, body: ApplyService) -> VersionWire | None:
    """The version that an earlier run of this same deploy left at the wanted weight, if it named it."""
    if not body.version or body.rollout_strategy == "IN_PLACE" or is_down(service):
        return None
    version = next((one for one in _versions(service).values() if one.version == body.version), None)
    if version is None or version.current_state in _ENDED or not _is_same(version, body, service):
        return None
    if _is_primary(service, version):  # it has all, or what its canary leaves, and no weight of its own
        return version
    # Without a percentage the traffic moves by itself. Whether a canary is moving or held cannot be told.
    held = body.canary_percent is not None and _weighs(version, body)
    return version if held and service.current_state != _BACK else None


def canary_meant(service: ServiceWire, body: ApplyService) -> VersionWire | None:
    """The canary, if ``body`` would move its weight and not replace it."""
    canary = service.canary_version
    if canary is None or canary.current_state in _ENDED or body.rollout_strategy == "IN_PLACE":
        return None
    return canary if body.version in {None, canary.version} and _is_same(canary, body, service) else None


def made(body: ApplyService, before: ServiceWire | None, now: ServiceWire) -> VersionWire | None:
    """The version that the answer to ``body`` is about."""
    here = _versions(now)
    if body.version and (named := [version for version in here.values() if version.version == body.version]):
        return named[0]
    fresh = [version for id, version in here.items() if id not in _versions(before)]
    return next(iter([*fresh, *here.values()]), None)


def is_down(service: ServiceWire) -> bool:
    """Whether it has ended, or is meant to."""
    return service.goal_state == "TERMINATED" or service.current_state in _ENDED


# ── which version, and has it moved ─────────────────────────────────────────


def _is_asked_for(
    version: VersionWire, body: ApplyService, was: VersionWire | None, now: ServiceWire
) -> bool:
    if not contains(version.ray_serve_config, body.ray_serve_config):
        return False
    if body.rollout_strategy == "IN_PLACE":
        return _is_primary(now, version)
    if was is None:
        return not body.version or version.version == body.version
    mine = version.version == body.version if body.version else not _is_primary(now, version)
    return mine and _is_same(version, body, now)


def _moved(body: ApplyService, before: ServiceWire | None, now: ServiceWire, version: VersionWire) -> Landing:
    """Whether a version that was there before has been asked for what ``body`` asks."""
    was = _versions(before)[version.id]
    if body.rollout_strategy == "IN_PLACE":
        fresh = not contains(was.ray_serve_config, body.ray_serve_config)
        return Arrived(version) if fresh else Untouched()
    if _has_all(now, version) or _goes_there(body, before, now, was, version):
        return Arrived(version)
    taken_back = now.current_state == _BACK and before is not None and before.current_state != _BACK
    return Changed("its canary is being taken back") if taken_back else Untouched()


def _goes_there(
    body: ApplyService,
    before: ServiceWire | None,
    now: ServiceWire,
    was: VersionWire,
    version: VersionWire,
) -> bool:
    if now.current_state == _BACK:
        return False
    if body.canary_percent is None:
        return _is_primary(now, version) or _let_go(before, now, was, version)
    if version.target_weight is not None:
        return _weighs(version, body)
    low, high = sorted((was.weight, body.canary_percent))
    # On its way, where the server does not say where to.
    return version.weight == body.canary_percent or low < version.weight < high


def _let_go(before: ServiceWire | None, now: ServiceWire, was: VersionWire, version: VersionWire) -> bool:
    """Whether a canary that was held moves by itself. Some servers always say that it does."""
    if before is None or not now.auto_rollout_enabled:
        return False
    return not before.auto_rollout_enabled or version.weight > was.weight or version.target_weight == 100


def _weighs(version: VersionWire, body: ApplyService) -> bool:
    """Whether it is meant to have what ``body`` asks. A server that does not say so shows what it has."""
    meant = version.weight if version.target_weight is None else version.target_weight
    return meant == body.canary_percent


def _without_ours(body: ApplyService, before: ServiceWire | None, now: ServiceWire) -> Landing:
    here, known = _versions(now), _versions(before)
    if strangers := [version for id, version in here.items() if id not in known]:
        return Changed(f"version {strangers[0].version!r} was deployed")
    if before is None or is_down(before):
        return Changed("it was started again")
    if body.version in {version.version for id, version in known.items() if id not in here}:
        return Changed(f"version {body.version!r} was taken back or replaced")
    if now.current_state == _BACK and before.current_state != _BACK:
        return Changed("its canary is being taken back")
    return Untouched()


# ── what is the same ────────────────────────────────────────────────────────


def _is_same(version: VersionWire, body: ApplyService, service: ServiceWire) -> bool:
    """Whether a version runs what ``body`` says, on the same image and machines, with the same around it."""
    storage, tracing = version.ray_gcs_external_storage_config, version.tracing_config
    asked_storage, asked_tracing = body.ray_gcs_external_storage_config, body.tracing_config
    return (
        (version.build_id, version.compute_config_id) == (body.build_id, body.compute_config_id)
        and contains(version.ray_serve_config, body.ray_serve_config)
        and _own(version.ray_serve_config) == _own(body.ray_serve_config)
        and (storage if storage and storage.enable else None)
        == (asked_storage if asked_storage and asked_storage.enable else None)
        and (tracing if tracing and tracing.enabled else None)
        == (asked_tracing if asked_tracing and asked_tracing.enabled else None)
        and sorted(version.connection_ids) == sorted(body.connection_ids or ())
        and (body.config is None or body.config.access.use_bearer_token == (service.auth_token is not None))
    )


def contains(theirs: Any, ours: Any) -> bool:
    """Whether ``theirs`` says all that ``ours`` does; a server may fill in more keys."""
    if isinstance(ours, Mapping):
        same = isinstance(theirs, Mapping)
        return same and all(contains(theirs.get(key), value) for key, value in ours.items())
    if isinstance(ours, list | tuple):
        same = isinstance(theirs, list | tuple) and len(theirs) == len(ours)
        return same and all(contains(one, other) for one, other in zip(theirs, ours, strict=True))
    return bool(theirs == ours)


def _own(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What users alone say of their applications, so that what they have removed is missed, too."""
    return [
        {name: _pruned(application.get(name)) for name in ("args", "runtime_env")}
        for application in config.get("applications") or ()
        if isinstance(application, Mapping)
    ]


def _pruned(value: Any) -> Any:
    """Without what says nothing, and without the paths that some clients send beside the URIs."""
    if not isinstance(value, Mapping):
        return value
    parts = {key: _pruned(part) for key, part in value.items() if not str(key).startswith("user_provided_")}
    return {key: part for key, part in parts.items() if part not in (None, {}, [])} or None


def _is_primary(service: ServiceWire, version: VersionWire) -> bool:
    return service.primary_version is not None and service.primary_version.id == version.id


def _has_all(service: ServiceWire, version: VersionWire) -> bool:
    """Alone it has all the traffic, and is nobody's canary."""
    return _is_primary(service, version) and service.canary_version is None


def _versions(service: ServiceWire | None) -> dict[str, VersionWire]:
    """The live versions by id, the newer first."""
    both = (service.canary_version, service.primary_version) if service else ()
    return {version.id: version for version in both if version}
