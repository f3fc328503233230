"""The places that a plane on one machine has: one user, one cloud, one project, one compute, one image.

Official clients ask for each of them on the way to a deploy; here they are constants.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from anyservice_core.models.wire import (
    BuildWire,
    CloudRef,
    CloudWire,
    ClusterEnvironmentWire,
    ComputeSpec,
    ComputeTemplateWire,
    CreatorWire,
    NodeType,
    OrganizationWire,
    ProjectWire,
    UserWire,
)

__all__ = ["BUILD", "CLOUD", "COMPUTE", "CREATOR", "ENVIRONMENT", "PROJECT", "USER"]

BORN: Final = datetime(2026, 1, 1, tzinfo=UTC)
ORGANIZATION_ID: Final = "org_local11111111111111111111111"

USER: Final = UserWire(
    id="usr_local11111111111111111111111",
    email="local@localhost",
    name="Local",
    username="local",
    organization_ids=[ORGANIZATION_ID],
    organizations=[
        OrganizationWire(
            id=ORGANIZATION_ID,
            name="local",
            public_identifier="local",
            default_cloud_id="cld_local11111111111111111111111",
        )
    ],
)
CREATOR: Final = CreatorWire(id=USER.id, email=USER.email, name=USER.name, username=USER.username)
CLOUD: Final = CloudWire(
    id="cld_local11111111111111111111111",
    name="local",
    region="local",
    creator_id=USER.id,
    created_at=BORN,
    is_default=True,
    status="ready",
    state="ACTIVE",
)
PROJECT: Final = ProjectWire(
    id="prj_local11111111111111111111111",
    name="default",
    description="The project of this machine.",
    created_at=BORN,
    creator_id=USER.id,
    organization_id=ORGANIZATION_ID,
    parent_cloud_id=CLOUD.id,
    is_default=True,
    directory_name="default",
)
COMPUTE: Final = ComputeTemplateWire(
    id="cpt_local11111111111111111111111",
    name="local",
    creator_id=USER.id,
    creator=CREATOR,
    organization_id=ORGANIZATION_ID,
    created_at=BORN,
    last_modified_at=BORN,
    config=ComputeSpec(
        cloud_id=CLOUD.id,
        cloud=CloudRef(id=CLOUD.id, name=CLOUD.name),
        head_node_type=NodeType(name="this-machine", instance_type="local"),
    ),
)
BUILD: Final = BuildWire(
    id="bld_local11111111111111111111111",
    cluster_environment_id="DEFAULT_APP_CONFIG_ID_local",
    application_template_id="DEFAULT_APP_CONFIG_ID_local",
    creator_id=USER.id,
    creator=CREATOR,
    created_at=BORN,
    last_modified_at=BORN,
    docker_image_name="local/this-python:1",
)
ENVIRONMENT: Final = ClusterEnvironmentWire(
    id="DEFAULT_APP_CONFIG_ID_local",
    name="this-python",
    organization_id=ORGANIZATION_ID,
    creator_id=USER.id,
    created_at=BORN,
    last_modified_at=BORN,
    is_default=True,
)
