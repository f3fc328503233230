"""Services: as the API shows them, as it wants them, and what goes through them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from anyservice_core.models.wire.base import EPOCH, Moment, Percent, Whole, Wire
from anyservice_core.models.wire.places import CreatorWire

__all__ = [
    "AccessWire",
    "ApplyConfig",
    "ApplyService",
    "ChecklistItem",
    "ExternalStorageWire",
    "GrpcProtocol",
    "Protocols",
    "RollbackService",
    "ServiceChecklist",
    "ServiceWire",
    "TracingWire",
    "TrafficWire",
    "VersionChecklist",
    "VersionTraffic",
    "VersionWire",
]


class ExternalStorageWire(Wire):
    enable: bool = False
    address: str | None = None
    redis_certificate_path: str | None = None


class TracingWire(Wire):
    enabled: bool = False
    exporter_import_path: str | None = None
    sampling_ratio: float = 1.0


class VersionWire(Wire):
    """One version. ``version`` is its name, ``weight`` the percent of traffic it is meant to get."""

    id: str
    current_state: str
    weight: int
    version: str = ""
    created_at: Moment = EPOCH
    current_weight: int | None = None
    target_weight: int | None = None
    ray_serve_config: dict[str, Any] = {}
    ray_gcs_external_storage_config: ExternalStorageWire | None = None
    tracing_config: TracingWire | None = None
    build_id: str = ""
    compute_config_id: str = ""
    production_job_ids: list[str] = []
    connection_ids: list[str] = []
    placements: list[Any] = []
    global_target_capacity: int | None = None


class ChecklistItem(Wire):
    kind: str
    label: str
    state: str
    message: str | None = None
    version_id: str | None = None
    cloud_resource_id: str | None = None
    observed_at: Moment | None = None


class VersionChecklist(Wire):
    version_id: str
    items: list[ChecklistItem] = []


class ServiceChecklist(Wire):
    shared: list[ChecklistItem] = []
    per_version: list[VersionChecklist] = []


class ServiceWire(Wire):
    """A service, whole. Writers must give ``primary_version``: official clients never take null."""

    id: str
    name: str
    current_state: str
    goal_state: str = "RUNNING"
    type: str = "V2"
    description: str | None = None
    project_id: str = ""
    cloud_id: str = ""
    creator_id: str = ""
    creator: CreatorWire | None = None
    created_at: Moment = EPOCH
    ended_at: Moment | None = None
    hostname: str = ""
    base_url: str = ""
    auth_token: str | None = Field(default=None, repr=False)
    secondary_auth_token: str | None = Field(default=None, repr=False)
    auto_rollout_enabled: bool = True
    is_multi_version: bool = False
    primary_version: VersionWire | None = None
    canary_version: VersionWire | None = None
    versions: list[VersionWire] = []
    service_observability_urls: dict[str, Any] = {}
    service_status_checklist: ServiceChecklist | None = None
    traffic_distribution: Any = None
    error_message: str | None = None


# ── requests ────────────────────────────────────────────────────────────────


class AccessWire(Wire):
    use_bearer_token: bool = True


class GrpcProtocol(Wire):
    enabled: bool = False
    port: Whole = 9000
    service_names: list[str] = []


class Protocols(Wire):
    grpc: GrpcProtocol = GrpcProtocol()


class ApplyConfig(Wire):
    max_uptime_timeout_sec: Whole = 0
    access: AccessWire = AccessWire()
    protocols: Protocols = Protocols()
    env_vars: dict[str, str] | None = Field(default=None, repr=False)  # may hold secrets


class ApplyService(Wire):
    """Body of ``PUT /api/v2/services-v2/apply``. Keys that are ``None`` are left out, never sent as null.

    ``canary_percent`` unset: traffic shifts by itself until the new version is primary; set: the new
    version gets that weight and holds it. ``config`` is absent when only the canary's weight moves.
    """

    name: str
    project_id: str | None = None
    description: str | None = None
    version: str | None = None
    ray_serve_config: dict[str, Any]
    ray_gcs_external_storage_config: ExternalStorageWire | None = None
    tracing_config: TracingWire | None = None
    build_id: str
    compute_config_id: str
    config: ApplyConfig | None = None
    canary_percent: Percent | None = None
    max_surge_percent: Percent | None = None
    rollout_strategy: Literal["ROLLOUT", "IN_PLACE"] = "ROLLOUT"
    auto_complete_rollout: bool = True
    tags: dict[str, str] | None = None
    connection_ids: list[str] | None = None

    def body(self) -> dict[str, Any]:
        """The JSON to send."""
        return self.model_dump(mode="json", exclude_none=True)


class RollbackService(Wire):
    max_surge_percent: Percent | None = None


# ── the plane's own: traffic as the router counts it ────────────────────────


class VersionTraffic(Wire):
    """Cumulative since the version was attached; ``errors`` are 5xx and requests without an answer.

    ``took`` counts the answers that began within so many milliseconds: ``le_5``, ``le_10`` and so on, ``count`` all
    of them, and ``sum_ms`` adds up their times.
    """

    version_id: str
    name: str = ""
    weight: int = 0
    requests: int = 0
    errors: int = 0
    responses: dict[str, int] = {}
    took: dict[str, int] = {}


class TrafficWire(Wire):
    """Answer of ``GET /plane/v1/services/{id}/traffic``; ``at`` in seconds since the epoch."""

    service_id: str
    name: str
    project: str = ""
    at: float
    versions: list[VersionTraffic] = []
