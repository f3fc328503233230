"""How the plane shows what it knows: a ``Service`` value as the API's service object."""

from __future__ import annotations

from datetime import UTC, datetime

from anyservice_core.models.enums import ServiceState, ServiceVersionState
from anyservice_core.models.wire import (
    ChecklistItem,
    ServiceChecklist,
    ServiceWire,
    VersionChecklist,
    VersionWire,
)
from anyservice_core.plane.catalog import CREATOR
from anyservice_core.plane.state import Rollout, Service, Version

__all__ = ["show"]


def show(service: Service) -> ServiceWire:
    """Give the whole service object, as every call that touches a service answers it."""
    primary = _version(service.primary, _target(service, canary=False))
    canary = service.canary and _version(service.canary, _target(service, canary=True))
    ended = service.state is ServiceState.TERMINATED
    return ServiceWire(
        id=service.id,
        name=service.name,
        current_state=service.state,
        goal_state=service.goal_state,
        project_id=service.project_id,
        cloud_id=service.cloud_id,
        creator_id=CREATOR.id,
        creator=CREATOR,
        created_at=_moment(service.created_at),
        ended_at=_moment(service.updated_at) if ended else None,
        hostname=f"127.0.0.1:{service.port}",
        base_url=f"http://127.0.0.1:{service.port}",
        auth_token=service.auth_token,
        auto_rollout_enabled=_automatic(service.rollout),
        primary_version=primary,
        canary_version=canary,
        versions=[v for v in (primary, canary) if v],
        service_status_checklist=None if ended else _checklist(service),
        error_message=service.error_message,
    )


def _automatic(rollout: Rollout | None) -> bool:
    return rollout is None or rollout.automatic


def _target(service: Service, *, canary: bool) -> int:
    percent = service.rollout.percent if service.rollout else 0
    return percent if canary else 100 - percent


def _version(version: Version, target: int) -> VersionWire:
    spec = version.wanted
    return VersionWire(
        id=version.id,
        version=version.name,
        current_state=version.state,
        weight=version.weight,
        current_weight=version.weight,
        target_weight=target,
        created_at=_moment(version.created_at),
        ray_serve_config=spec["ray_serve_config"],
        ray_gcs_external_storage_config=spec.get("ray_gcs_external_storage_config"),
        tracing_config=spec.get("tracing_config"),
        build_id=spec["build_id"],
        compute_config_id=spec["compute_config_id"],
        connection_ids=spec.get("connection_ids") or [],
    )


def _checklist(service: Service) -> ServiceChecklist:
    router = ChecklistItem(kind="LOAD_BALANCER", label="Router", state="RUNNING", message="")
    per_version = [VersionChecklist(version_id=v.id, items=_items(v)) for v in service.versions]
    return ServiceChecklist(shared=[router], per_version=per_version)


def _items(version: Version) -> list[ChecklistItem]:
    """Tell what serves from what was asked for, where an update in place sets them apart."""
    if version.update is None:
        return [_item(version, "Applications", version.state, version.message)]
    serves = ServiceVersionState.RUNNING if version.address else ServiceVersionState.STARTING
    return [
        _item(version, "Applications", serves, ""),
        _item(version, "Update in place", version.state, version.message),
    ]


def _item(version: Version, label: str, state: ServiceVersionState, message: str) -> ChecklistItem:
    return ChecklistItem(kind="APPLICATION", label=label, state=state, message=message, version_id=version.id)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
