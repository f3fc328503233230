"""Who asks, and the clouds there are.

One machine is one cloud, ``local``. More of them are more names for it, so that what is meant for several clouds can
be tried here: each has a default project and a default compute config of its own, and its services run here as well.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from anyservice_core.errors import ConflictError, NotFoundError
from anyservice_core.models.wire import (
    CloudRef,
    CloudResourceWire,
    CloudWire,
    ComputeTemplateWire,
    ProjectWire,
    UserWire,
)
from anyservice_core.models.wire.base import Wire
from anyservice_core.plane import catalog
from anyservice_core.plane.changes import new_id
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.names import Name
from anyservice_core.plane.paging import Paged
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes, page

__all__ = ["routes"]

routes = Routes()


@routes.on("GET /api/v2/userinfo", answer=UserWire)
def _user(_: Desk, __: ApiRequest) -> Any:
    """Show whose token this is."""
    return catalog.USER


@routes.on("GET /ext/v0/clouds/default", answer=CloudWire)
def _default(_: Desk, __: ApiRequest) -> Any:
    """Show the default cloud."""
    return catalog.CLOUD


@routes.on("GET /api/v2/clouds", "GET /ext/v0/clouds", query=Paged, answer=Page(CloudWire))
def _list(desk: Desk, request: ApiRequest) -> ApiReply:
    """List clouds."""
    return request.asked.cut(desk.registry.clouds.all())  # type: ignore[no-any-return]


@routes.on("GET /api/v2/clouds/{cloud}", "GET /ext/v0/clouds/{cloud}", answer=CloudWire, refusals=(404,))
def _show(desk: Desk, _: ApiRequest, cloud: str) -> Any:
    """Show a cloud."""
    return desk.registry.clouds.get(cloud)


class _Called(Wire):
    name: str


@routes.on("POST /api/v2/clouds/find_by_name", body=_Called, answer=CloudWire, refusals=(404,))
def _by_name(desk: Desk, request: ApiRequest) -> Any:
    """Find a cloud by its name."""
    return _named(desk, request.body.name)


def _named(desk: Desk, name: str) -> CloudWire:
    found = desk.registry.clouds.first(lambda cloud: cloud.name == name)
    if found is None:
        names = ", ".join(f"'{cloud.name}'" for cloud in desk.registry.clouds.all()[:10])
        raise NotFoundError(f"Cloud '{name}' not found; this plane has {names}.", status=404)
    return found


class _NewCloud(Wire):
    name: Name
    provider: str = "GENERIC"
    region: str = "local"


@routes.on("POST /api/v2/clouds", body=_NewCloud, answer=CloudWire, refusals=(409,))
def _create(desk: Desk, request: ApiRequest) -> Any:
    """Add a cloud: another name for this machine, with a project and a compute config."""
    asked: _NewCloud = request.body
    now, suffix = moment(desk.clock()), new_id("")
    with desk.store.transaction():
        if desk.registry.clouds.first(lambda cloud: cloud.name == asked.name):
            raise ConflictError(f"a cloud is called '{asked.name}' already.", status=409)
        changes = {"id": f"cld_{suffix}", "created_at": now, "is_default": False, **asked.model_dump()}
        cloud = desk.registry.clouds.add(catalog.CLOUD.model_copy(update=changes))
        desk.registry.projects.add(_project_of(cloud, now))
        desk.registry.computes.add(_compute_of(cloud, now))
    return cloud


def _project_of(cloud: CloudWire, now: datetime) -> ProjectWire:
    id = cloud.id.replace("cld_", "prj_")
    changes = {"id": id, "parent_cloud_id": cloud.id, "created_at": now}
    return catalog.PROJECT.model_copy(update=changes)


def _compute_of(cloud: CloudWire, now: datetime) -> ComputeTemplateWire:
    ref = CloudRef(id=cloud.id, name=cloud.name, provider=cloud.provider)
    config = catalog.COMPUTE.config.model_copy(update={"cloud_id": cloud.id, "cloud": ref})
    id = cloud.id.replace("cld_", "cpt_")
    changes = {"id": id, "config": config, "created_at": now, "last_modified_at": now}
    return catalog.COMPUTE.model_copy(update=changes)


@routes.on("DELETE /api/v2/clouds/{cloud}", refusals=(404, 409))
def _delete(desk: Desk, _: ApiRequest, cloud: str) -> None:
    """Remove a cloud in which no service is left."""
    with desk.store.transaction():
        gone = desk.registry.clouds.get(cloud)
        if held := [one.name for one in desk.store.services() if one.cloud_id == gone.id]:
            raise ConflictError(
                f"cloud '{gone.name}' has {len(held)} services, such as '{held[0]}'.",
                hint="Delete them first.",
                status=409,
            )
        desk.registry.clouds.remove(gone.id)
        projects, computes = desk.registry.projects, desk.registry.computes
        projects.remove(*(one.id for one in projects.all() if one.parent_cloud_id == gone.id))
        computes.remove(*(one.id for one in computes.all() if one.config.cloud_id == gone.id))


# ── the parts of a cloud, of which ours have none ───────────────────────────


@routes.on("GET /api/v2/clouds/{cloud}/resources", answer=Page(CloudResourceWire), refusals=(404,))
def _resources(desk: Desk, _: ApiRequest, cloud: str) -> ApiReply:
    """List the resources of a cloud: none, since a machine has no parts."""
    desk.registry.clouds.get(cloud)
    return page([], 0)


class _ResourceName(Wire):
    cloud_resource_name: Annotated[str, Field(min_length=1)]


@routes.on(
    "POST /api/v2/clouds/{cloud}/find_cloud_resource_by_name",
    query=_ResourceName,
    answer=CloudResourceWire,
    refusals=(404,),
)
def _resource_by_name(desk: Desk, request: ApiRequest, cloud: str) -> Any:
    """Find a resource of a cloud."""
    found, name = desk.registry.clouds.get(cloud), request.asked.cloud_resource_name
    raise NotFoundError(
        f"Cloud '{found.name}' has no resource '{name}': this machine is one whole.", status=404
    )


class _Infra(Wire):
    deployment_infra: str


@routes.on("GET /api/v2/workos/deployment_infra", answer=_Infra)
def _infra(_: Desk, __: ApiRequest) -> Any:
    """Show what the plane runs on, as far as official clients know such: for azure they send more."""
    return _Infra(deployment_infra="aws")


@routes.on("POST /api/v2/cli_usage")
def _usage(_: Desk, __: ApiRequest) -> None:
    """Take what official commands tell of their use, and forget it."""
