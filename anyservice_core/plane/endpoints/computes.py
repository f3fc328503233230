"""Compute configs: what machines a version shall run on. Here it is always this one, so they only have to fit it."""

from __future__ import annotations

from typing import Any, Final, Literal

from anyservice_core.errors import ConflictError
from anyservice_core.models.wire import CloudRef, ComputeSpec, ComputeTemplateWire
from anyservice_core.models.wire.base import Whole, Wire
from anyservice_core.plane import catalog
from anyservice_core.plane.changes import new_id
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.endpoints.searches import NameSearch
from anyservice_core.plane.machine import check_fit, this_machine
from anyservice_core.plane.names import Name
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes, page

__all__ = ["routes"]

routes = Routes()
_MOST: Final = 50
_MOST_ANONYMOUS: Final = 500


class _OfCloud(Wire):
    cloud_id: str = catalog.CLOUD.id
    cloud_resource_id: str | None = None


@routes.on(
    "GET /ext/v0/cluster_computes/default", query=_OfCloud, answer=ComputeTemplateWire, refusals=(404,)
)
def _default(desk: Desk, request: ApiRequest) -> Any:
    """Show the default compute config of a cloud."""
    cloud = desk.registry.clouds.get(request.asked.cloud_id or catalog.CLOUD.id)
    return desk.registry.computes.get(cloud.id.replace("cld_", "cpt_"))


@routes.on(
    "GET /ext/v0/cluster_computes/{compute}",
    "GET /api/v2/compute_templates/{compute}",
    answer=ComputeTemplateWire,
    refusals=(404,),
)
def _show(desk: Desk, _: ApiRequest, compute: str) -> Any:
    """Show a compute config."""
    return desk.registry.computes.get(compute)


class _Search(NameSearch):
    include_anonymous: bool = False
    archive_status: Literal["NOT_ARCHIVED", "ALL", "ARCHIVED"] = "NOT_ARCHIVED"
    cloud_id: str | None = None
    version: Whole | None = None


@routes.on(
    "POST /api/v2/compute_templates/search",
    "POST /ext/v0/cluster_computes/search",
    body=_Search,
    bare=True,
    answer=Page(ComputeTemplateWire),
)
def _search(desk: Desk, request: ApiRequest) -> ApiReply:
    """Search compute configs by name, the newest version first; version -1 is the newest of each name."""
    asked: _Search = request.body
    found = [one for one in reversed(desk.registry.computes.all()) if _fits(one, asked)]
    found.sort(key=lambda one: -one.version)
    if asked.version == -1:
        found = list({(one.config.cloud_id, one.name): one for one in reversed(found)}.values())[::-1]
    return page(found[:_MOST], len(found))


def _fits(one: ComputeTemplateWire, asked: _Search) -> bool:
    archived = {"NOT_ARCHIVED": False, "ARCHIVED": True}.get(asked.archive_status)
    return (
        asked.name.fits(one.name)
        and (asked.include_anonymous or not one.anonymous)
        and archived in {None, one.archived_at is not None}
        and asked.cloud_id in {None, one.config.cloud_id}
        and asked.version in {None, -1, one.version}
    )


class _NewCompute(Wire):
    config: ComputeSpec
    name: Name | None = None
    anonymous: bool = False
    new_version: bool = False
    project_id: str | None = None


@routes.on(
    "POST /api/v2/compute_templates",
    "POST /ext/v0/cluster_computes",
    body=_NewCompute,
    answer=ComputeTemplateWire,
    refusals=(404, 409, 422),
)
def _create(desk: Desk, request: ApiRequest) -> Any:
    """Keep a compute config, if it fits this machine; without a name, one that is there already is given again."""
    asked: _NewCompute = request.body
    check_fit(asked.config, this_machine())
    with desk.store.transaction():
        cloud = desk.registry.clouds.get(asked.config.cloud_id)
        ref = CloudRef(id=cloud.id, name=cloud.name, provider=cloud.provider)
        config = asked.config.model_copy(update={"cloud": ref})
        if asked.name is None:
            return _unnamed(desk, config)
        known = [one.version for one in desk.registry.computes.all() if one.name == asked.name]
        if known and not asked.new_version:
            raise ConflictError(
                f"a compute config is called '{asked.name}' already.",
                hint="Say new_version to keep another version of it.",
                status=409,
            )
        return _keep(desk, config, name=asked.name, version=max(known, default=0) + 1)


def _unnamed(desk: Desk, config: ComputeSpec) -> ComputeTemplateWire:
    same = desk.registry.computes.first(lambda one: one.anonymous and one.config == config)
    if same is not None:
        return same
    _make_room(desk)
    return _keep(desk, config, name=f"anonymous-{new_id('', 8)}", version=1, anonymous=True)


def _keep(desk: Desk, config: ComputeSpec, **fields: Any) -> ComputeTemplateWire:
    now = moment(desk.clock())
    changes = {"id": new_id("cpt_"), "config": config, "created_at": now, "last_modified_at": now, **fields}
    return desk.registry.computes.add(catalog.COMPUTE.model_copy(update=changes))


def _make_room(desk: Desk) -> None:
    """Forget the oldest of too many without a name that no service runs on: deploys leave them behind."""
    unnamed = [one.id for one in desk.registry.computes.all() if one.anonymous]
    if len(unnamed) >= _MOST_ANONYMOUS:
        used = {spec.get("compute_config_id") for service in desk.store.services() for spec in service.specs}
        desk.registry.computes.remove(*[id for id in unnamed if id not in used][: _MOST_ANONYMOUS // 2])


@routes.on(
    "POST /api/v2/compute_templates/{compute}/archive", answer=ComputeTemplateWire, refusals=(404, 409)
)
def _archive(desk: Desk, _: ApiRequest, compute: str) -> Any:
    """Hide a compute config from searches."""
    with desk.store.transaction():
        found = desk.registry.computes.get(compute)
        if found.id == found.config.cloud_id.replace("cld_", "cpt_"):
            raise ConflictError(
                f"compute config '{found.name}' is the default one of its cloud, and stays.", status=409
            )
        return desk.registry.computes.add(found.model_copy(update={"archived_at": moment(desk.clock())}))
