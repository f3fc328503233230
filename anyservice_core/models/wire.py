"""What goes over HTTP: one set of models, read by the client and written by the plane.

Reading is lenient: unknown keys are ignored, states stay plain strings (``mapping.py`` gives them
meaning), and a field is required only where going on without it would be a guess: identity, state
and weight. Writing is complete: every field that official clients refuse to miss has a default or
must be given, so ``model_dump(mode="json")`` of any model here is an answer they accept.

Secrets (query tokens, presigned URLs) are kept out of ``repr``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "AccessWire",
    "ApplyConfig",
    "ApplyService",
    "BuildWire",
    "ChecklistItem",
    "CloudRef",
    "CloudWire",
    "ClusterEnvironmentWire",
    "ComputeConfigWire",
    "ComputeSpec",
    "ComputeTemplateWire",
    "CreatorWire",
    "DeploymentInfra",
    "ErrorAnswer",
    "ErrorBody",
    "ExternalStorageWire",
    "GrpcProtocol",
    "NodeType",
    "OrganizationWire",
    "PageMetadata",
    "PresignRequest",
    "PresignedWire",
    "ProjectWire",
    "Protocols",
    "Result",
    "Results",
    "RollbackService",
    "ServiceChecklist",
    "ServiceWire",
    "TracingWire",
    "TrafficWire",
    "UserWire",
    "VersionChecklist",
    "VersionTraffic",
    "VersionWire",
]

T = TypeVar("T")


def _with_offset(moment: datetime) -> datetime:
    """Take a time without an offset as UTC: clients disagree about naive times, so none is passed on."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_with_offset)]
Percent = Annotated[int, Field(ge=0, le=100)]
EPOCH = datetime.fromtimestamp(0, UTC)


class Wire(BaseModel):
    """One shape of the API; frozen, and deaf to keys that it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=(), defer_build=True)


# ── envelopes ───────────────────────────────────────────────────────────────


class Result(Wire, Generic[T]):
    """A single answer."""

    result: T


class PageMetadata(Wire):
    total: int | None = None
    next_paging_token: str | None = None


class Results(Wire, Generic[T]):
    """One page of a list."""

    results: list[T]
    metadata: PageMetadata = PageMetadata()


class ErrorBody(Wire):
    """``detail`` is a text, or for a 422 the list of ``{"loc", "msg"}`` beside a ``message``."""

    message: str | None = None
    detail: str | list[Any] | None = None


class ErrorAnswer(Wire):
    error: ErrorBody


# ── people and places ───────────────────────────────────────────────────────


class CreatorWire(Wire):
    id: str
    email: str
    name: str = ""
    username: str = ""


class OrganizationWire(Wire):
    id: str
    name: str
    public_identifier: str = ""
    default_cloud_id: str | None = None
    is_general_platform_enabled: bool = True
    is_private_endpoints_enabled: bool = False
    is_usage_blocked: bool = False


class UserWire(Wire):
    id: str
    email: str
    name: str = ""
    lastname: str = ""
    username: str = ""
    verified: bool = True
    organization_permission_level: str = "owner"
    organization_ids: list[str] = []
    organizations: list[OrganizationWire] = []
    ld_hash: str = ""
    ld_hash_fields: list[str] = []
    pylon_hash: str = ""


class CloudWire(Wire):
    id: str
    name: str
    provider: str = "GENERIC"
    region: str = ""
    credentials: str = ""
    type: str = "PUBLIC"
    creator_id: str = ""
    created_at: Moment = EPOCH
    is_default: bool = False
    customer_aggregated_logs_config_id: str = ""
    status: str | None = None
    state: str | None = None
    is_k8s: bool = False
    is_aioa: bool = False


class ProjectWire(Wire):
    id: str
    name: str
    description: str = ""
    cluster_config: str = ""
    created_at: Moment = EPOCH
    creator_id: str | None = None
    organization_id: str = ""
    parent_cloud_id: str | None = None
    is_owner: bool = True
    is_read_only: bool = False
    is_default: bool = False
    directory_name: str = ""


# ── compute and images ──────────────────────────────────────────────────────


class NodeType(Wire):
    name: str
    instance_type: str | None = None
    resources: dict[str, Any] | None = None


class CloudRef(Wire):
    id: str
    name: str
    provider: str = "GENERIC"


class ComputeSpec(Wire):
    """The ``config`` of a compute config; ``cloud`` is set in answers of the ``/api/v2`` tree only."""

    cloud_id: str
    cloud: CloudRef | None = None
    head_node_type: NodeType = NodeType(name="head-node")
    worker_node_types: list[dict[str, Any]] | None = None
    deployment_configs: list[dict[str, Any]] | None = None
    auto_select_worker_config: bool = False
    allowed_azs: list[str] | None = None
    flags: dict[str, Any] | None = None


class ComputeConfigWire(Wire):
    """A compute config as ``/ext/v0/cluster_computes`` shows it."""

    id: str
    config: ComputeSpec
    name: str = ""
    version: int = 1
    anonymous: bool = False
    creator_id: str = ""
    organization_id: str = ""
    project_id: str | None = None
    created_at: Moment = EPOCH
    last_modified_at: Moment = EPOCH
    deleted_at: Moment | None = None
    archived_at: Moment | None = None


class ComputeTemplateWire(ComputeConfigWire):
    """The same as ``/api/v2/compute_templates`` shows it, with its creator."""

    creator: CreatorWire | None = None


class BuildWire(Wire):
    """An image build; both API trees' fields, so that one object serves either."""

    id: str
    status: str = "succeeded"
    cluster_environment_id: str = ""
    application_template_id: str = ""
    application_template: dict[str, Any] | None = None
    revision: int = 1
    creator_id: str = ""
    creator: CreatorWire | None = None
    created_at: Moment = EPOCH
    last_modified_at: Moment = EPOCH
    docker_image_name: str | None = None
    is_byod: bool = False
    ray_version: str | None = None
    containerfile: str | None = None
    registry_login_secret: str | None = None
    error_message: str | None = None


class ClusterEnvironmentWire(Wire):
    id: str
    name: str
    organization_id: str = ""
    creator_id: str = ""
    created_at: Moment = EPOCH
    last_modified_at: Moment = EPOCH
    anonymous: bool = False
    is_default: bool = False


class DeploymentInfra(Wire):
    deployment_infra: str = "aws"


# ── upload ──────────────────────────────────────────────────────────────────


class PresignRequest(Wire):
    file_name: str
    file_type: str = "runtime_env_packages"
    access_mode: str = "WRITE"
    cloud_resource_id: str | None = None


class PresignedWire(Wire):
    """Where to PUT a file (``url``) and what to call it afterwards (``file_uri``)."""

    file_uri: str
    url: str = Field(repr=False)
    file_exists: bool = False
    file_size: int | None = None
    bucket_name: str = ""
    bucket_path: str = ""
    url_scheme: str = "http"


# ── services ────────────────────────────────────────────────────────────────


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
    port: int = 9000
    service_names: list[str] = []


class Protocols(Wire):
    grpc: GrpcProtocol = GrpcProtocol()


class ApplyConfig(Wire):
    max_uptime_timeout_sec: int = 0
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
    """Cumulative since the version was attached; ``errors`` are 5xx and requests without an answer."""

    version_id: str
    name: str = ""
    weight: int = 0
    requests: int = 0
    errors: int = 0
    responses: dict[str, int] = {}


class TrafficWire(Wire):
    """Answer of ``GET /plane/v1/services/{id}/traffic``; ``at`` in seconds since the epoch."""

    service_id: str
    name: str
    at: float
    versions: list[VersionTraffic] = []
