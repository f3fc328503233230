"""The checklist of a service: what its router, its hosts and its applications were last seen to be.

Each item's ``observed_at`` is when it was first seen so; while nothing changes, it stays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.models.wire import ChecklistItem, ServiceChecklist, VersionChecklist
from anyservice_core.plane.engines.base import EngineState
from anyservice_core.plane.state import Rollout, Service, Version

__all__ = ["SURGE", "checklist", "moment"]

SURGE: Final = (
    "max_surge_percent {percent} changes nothing here: on this plane a version has one host that is there as a"
    " whole or not at all, so old and new run side by side with all that they ask for until one of them ends"
)


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
    surge = "" if rollout.surge in {None, 100} else f"; {SURGE.format(percent=rollout.surge)}"
    return ChecklistItem(
        kind="SERVICE",
        label="Rollout",
        state=service.state,
        message=f"{how} at {rollout.percent} %{surge}",
        observed_at=moment(rollout.since),
    )


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
