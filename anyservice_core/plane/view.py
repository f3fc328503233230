"""How the plane shows what it knows: a ``Service`` value as the API's service object."""

from __future__ import annotations

from anyservice_core.models.enums import ServiceState
from anyservice_core.models.wire import ServiceWire, VersionWire
from anyservice_core.plane.capacity import WHOLE
from anyservice_core.plane.catalog import CREATOR
from anyservice_core.plane.checklist import checklist, moment
from anyservice_core.plane.state import Rollout, Service, Version

__all__ = ["show", "show_version"]


def show(service: Service) -> ServiceWire:
    """Give the whole service object, as every call that touches a service answers it."""
    primary = show_version(service.primary, _target(service, canary=False))
    canary = service.canary and show_version(service.canary, _target(service, canary=True))
    ended = service.state is ServiceState.TERMINATED
    return ServiceWire(
        id=service.id,
        name=service.name,
        description=service.description,
        current_state=service.state,
        goal_state=service.goal_state,
        project_id=service.project_id,
        cloud_id=service.cloud_id,
        creator_id=CREATOR.id,
        creator=CREATOR,
        created_at=moment(service.created_at),
        ended_at=moment(service.updated_at) if ended else None,
        hostname=f"127.0.0.1:{service.port}",
        base_url=f"http://127.0.0.1:{service.port}",
        auth_token=service.auth_token,
        secondary_auth_token=service.second_token,
        auto_rollout_enabled=_automatic(service.rollout),
        is_multi_version=service.rollout is not None and service.rollout.lasting,
        primary_version=primary,
        canary_version=canary,
        versions=[v for v in (primary, canary) if v],
        service_status_checklist=None if ended else checklist(service),
        error_message=service.error_message,
    )


def _automatic(rollout: Rollout | None) -> bool:
    return rollout is None or rollout.automatic


def _target(service: Service, *, canary: bool) -> int:
    percent = service.rollout.percent if service.rollout else 0
    return percent if canary else 100 - percent


def show_version(version: Version, target: int = 0) -> VersionWire:
    """Give the version object; ``target`` is the weight that it shall have."""
    spec = version.wanted
    return VersionWire(
        id=version.id,
        version=version.name,
        current_state=version.state,
        weight=version.weight,
        current_weight=version.weight,
        target_weight=target,
        created_at=moment(version.created_at),
        ray_serve_config=spec["ray_serve_config"],
        ray_gcs_external_storage_config=spec.get("ray_gcs_external_storage_config"),
        tracing_config=spec.get("tracing_config"),
        build_id=spec["build_id"],
        compute_config_id=spec["compute_config_id"],
        connection_ids=spec.get("connection_ids") or [],
        global_target_capacity=version.capacity if version.capacity < WHOLE else None,
    )
