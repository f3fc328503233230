"""The checklist of a service: what its router, its hosts and its applications were last seen to be.

Each item's ``observed_at`` is when it was first seen so; while nothing changes, it stays.
"""

from __future__ import annotations

from datetime import UTC, datetime

from anyservice_core.models.enums import ServiceState
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.models.wire import ChecklistItem, ServiceChecklist, VersionChecklist
from anyservice_core.plane.capacity import room
from anyservice_core.plane.engines.base import EngineState
from anyservice_core.plane.state import Rollout, Service, Version

__all__ = ["checklist", "moment"]


def checklist(service: Service) -> ServiceChecklist:
    """Give the checklist of a service that has not ended."""
    shared = [_router(service), *([_rollout(service, r)] if (r := service.rollout) else [])]
    per_version = [VersionChecklist(version_id=v.id, items=_items(v)) for v in service.versions]
    return ServiceChecklist(shared=shared, per_version=per_version)


def _router(service: Service) -> ChecklistItem:
    heard = service.routing
    state = "STARTING" if heard is None else "UNHEALTHY" if heard.fault else "RUNNING"
    return ChecklistItem(
        kind="LOAD_BALANCER",
        label="Router",
        state=state,
        message=heard.fault if heard else "",
        observed_at=moment(heard.since) if heard else None,
    )


def _rollout(service: Service, rollout: Rollout) -> ChecklistItem:
    how = "climbing by itself" if rollout.automatic else "held"
    back = service.state is ServiceState.ROLLING_BACK
    return ChecklistItem(
        kind="SERVICE",
        label="Rollout",
        state=service.state,
        message=("going back in steps" if back else f"{how} at {rollout.percent} %")
        + _paced(service, rollout),
        observed_at=moment(rollout.since),
    )


def _paced(service: Service, rollout: Rollout) -> str:
    """Tell how a surge paces a rollout, where it does."""
    if (free := room(rollout.surge)) is None:
        return ""
    both = (version for version in (service.primary, service.canary) if version)
    sides = ", ".join(f"{version.name} at {version.weight} % with {_capacity(version)}" for version in both)
    least = "" if free == rollout.surge else f", taken as {free}"
    return f"; max_surge_percent {rollout.surge}{least}: {sides}"


def _capacity(version: Version) -> str:
    least, most = version.present or (version.capacity, version.capacity)
    between = "" if least == most else f" to {most}"
    goes = "" if {least, most} == {version.capacity} else f", on its way to {version.capacity} %"
    return f"{least}{between} % of its capacity{goes}"


def _items(version: Version) -> list[ChecklistItem]:
    """Tell what serves from what was asked for, where an update in place sets them apart."""
    host = _item(version, "CLUSTER", "Host", _host_state(version), f"engine {version.engine}")
    if version.update is None:
        return [host, _item(version, "APPLICATION", "Applications", version.state, version.message)]
    serves = V.RUNNING if version.address else V.STARTING
    return [
        host,
        _item(version, "APPLICATION", "Applications", serves, ""),
        _item(version, "APPLICATION", "Update in place", version.state, version.message),
    ]


def _host_state(version: Version) -> V:
    """Say how the host is, whatever the application in it does."""
    if version.state in {V.SYSTEM_FAILURE, V.TERMINATING, V.TERMINATED}:
        return version.state
    up = version.host_state not in {EngineState.GONE, EngineState.STARTING}
    return V.RUNNING if up else V.STARTING


def _item(version: Version, kind: str, label: str, state: V, message: str) -> ChecklistItem:
    return ChecklistItem(
        kind=kind,
        label=label,
        state=state,
        message=message,
        version_id=version.id,
        observed_at=moment(version.since or version.created_at),
    )


def moment(seconds: float) -> datetime:
    """Give seconds since the epoch as the API shows a time."""
    return datetime.fromtimestamp(seconds, UTC)
