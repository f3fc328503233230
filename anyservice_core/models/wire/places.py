"""Whom and what a deploy refers to: people, clouds, projects, compute configs, images, uploads."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from anyservice_core.models.wire.base import EPOCH, Moment, Whole, Wire

__all__ = [
    "BuildWire",
    "CloudRef",
    "CloudWire",
    "ClusterEnvironmentWire",
    "ComputeConfigWire",
    "ComputeSpec",
    "ComputeTemplateWire",
    "CreatorWire",
    "DeploymentInfra",
    "ImageWire",
    "LatestBuildWire",
    "NodeType",
    "OrganizationWire",
    "PresignRequest",
    "PresignedWire",
    "ProjectWire",
    "UserWire",
]


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


class CloudResourceWire(Wire):
    """One of the places that a cloud is made of, each with a bucket of its own."""

    cloud_resource_id: str
    name: str = ""


class WorkspaceWire(Wire):
    """The platform's own development machine, as far as its defaults go."""

    id: str
    name: str = ""
    project_id: str = ""
    cloud_id: str = ""
    cluster_id: str = ""


class ClusterWire(Wire):
    """The cluster of a workspace."""

    id: str
    name: str = ""
    project_id: str = ""
    cluster_environment_build_id: str = ""
    cluster_compute_id: str = ""


class ConnectionWire(Wire):
    """A connection to a service of somebody else's; ``user_connection_id`` is absent until a user has joined it."""

    name: str = ""
    user_connection_id: str | None = None


# ── compute and images ──────────────────────────────────────────────────────


class NodeType(Wire):
    """A kind of node. ``resources`` of zero keep work off it."""

    name: str
    instance_type: str | None = None
    resources: dict[str, Any] | None = None
    required_resources: dict[str, Any] | None = None
    labels: dict[str, str] | None = None
    required_labels: dict[str, str] | None = None
    flags: dict[str, Any] | None = None
    advanced_configurations_json: dict[str, Any] | None = None


class WorkerType(NodeType):
    min_workers: Whole | None = None
    max_workers: Whole | None = None
    use_spot: bool = False
    fallback_to_ondemand: bool = False


class CloudRef(Wire):
    id: str
    name: str
    provider: str = "GENERIC"


class DeploymentSpec(Wire):
    """The part of a compute config that is about one resource of a cloud."""

    cloud_deployment: str | None = None  # the resource's name
    cloud_resource_id: str | None = None
    head_node_type: NodeType = NodeType(name="head-node")
    worker_node_types: list[WorkerType] | None = None
    auto_select_worker_config: bool = False
    allowed_azs: list[str] | None = None
    flags: dict[str, Any] | None = None
    advanced_configurations_json: dict[str, Any] | None = None


class ComputeSpec(DeploymentSpec):
    """The ``config`` of a compute config; ``cloud`` is set in answers of the ``/api/v2`` tree only.

    What it says of nodes itself is the first of its ``deployment_configs`` once more.
    """

    cloud_id: str
    cloud: CloudRef | None = None
    deployment_configs: list[DeploymentSpec] | None = None


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
    archived_at: Moment | None = None
    archiver_id: str | None = None


class LatestBuildWire(Wire):
    """The newest build of an image, as lists of images show it."""

    id: str
    revision: int
    status: str
    application_template_name: str
    application_template_id: str
    docker_image_name: str | None = None
    error_message: str | None = None


class ImageWire(ClusterEnvironmentWire):
    """An image with who made it and its newest build."""

    is_experimental: bool = False
    creator: CreatorWire | None = None
    latest_build: LatestBuildWire | None = None


class BuildOperation(Wire):
    """A build that was asked for."""

    id: str = ""
    completed: bool = False
    cluster_environment_build_id: str


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
