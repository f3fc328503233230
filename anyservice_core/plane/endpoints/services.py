"""The eight operations from the server's side: list, look, deploy, roll back, terminate, archive and delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from anyservice_core.errors import RejectedError
from anyservice_core.models.wire import ApplyService, RollbackService, ServiceWire
from anyservice_core.plane import catalog, listing
from anyservice_core.plane.addresses import bundles_of, remotes_of
from anyservice_core.plane.applications import check_deploy
from anyservice_core.plane.changes import archive, check_delete, deploy, is_known, roll_back, terminate
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.likeness import as_known
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes, page
from anyservice_core.plane.several import Several, in_order
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import Event
from anyservice_core.plane.view import show

__all__ = ["routes"]

routes = Routes()
Wanted = TypeVar("Wanted", bound=ApplyService)
_IMAGE: Final = (
    "image {image} is recorded and shown, and not run: without a container engine, this plane runs versions in its"
    " own Python; requirements are installed for them"
)


# ── looking ─────────────────────────────────────────────────────────────────


@routes.on(
    "GET /api/v2/services-v2",
    "GET /ext/v0/services-v2/search",
    "GET /ext/v0/services/list",
    query=listing.Query,
    answer=Page(ServiceWire),
)
def _list(desk: Desk, request: ApiRequest) -> ApiReply:
    """List services."""
    found = listing.select(desk.store, request.asked)
    return page([show(service) for service in found.page], found.total, found.next_token)


@routes.on(
    "GET /api/v2/services-v2/{service}",
    "GET /ext/v0/services-v2/{service}",
    "GET /ext/v0/services/{service}",
    answer=ServiceWire,
    refusals=(404,),
)
def _get(desk: Desk, _: ApiRequest, service: str) -> Any:
    """Show a service."""
    return show(desk.find(service))


# ── deploying ───────────────────────────────────────────────────────────────


@routes.on(
    "PUT /api/v2/services-v2/apply",
    "PUT /ext/v0/services-v2/rollout",
    "PUT /ext/v0/services/rollout",
    body=ApplyService,
    answer=ServiceWire,
    refusals=(404, 409, 422, 503, 507),
)
def _apply(desk: Desk, request: ApiRequest) -> Any:
    """Deploy a version: a new service, a rollout, another weight of one, or an update in place."""
    _check_apply(desk, request.body)
    wanted = _as_known(desk, request.body)
    fetched = _fetch(desk, wanted)
    with desk.store.transaction():
        service = _deploy(desk, wanted, fetched)
    desk.on_change()
    return show(service)


@routes.on(
    "PUT /api/v2/services-v2/apply_multi_version",
    body=Several,
    answer=ServiceWire,
    refusals=(404, 409, 422, 503, 507),
)
def _apply_several(desk: Desk, request: ApiRequest) -> Any:
    """Split the traffic between versions, for good."""
    asked: Several = request.body
    for wanted in asked.service_versions:
        _check_apply(desk, wanted)
    shares = [one.model_copy(update={"project_id": asked.project}) for one in asked.service_versions]
    asked = asked.model_copy(update={"service_versions": [_as_known(desk, share) for share in shares]})
    fetched = _fetch(desk, *asked.shares)
    with desk.store.transaction():
        present = desk.store.find(asked.name, asked.project)
        for one in (deploys := in_order(asked, present)):
            service = _deploy(desk, one, fetched, lasting=True)
        if len(deploys) == 1 and service.canary and deploys[0].version == service.primary.name:
            service = desk.change(service.id, lambda s: roll_back(s, desk.clock()), "roll back")
    desk.on_change()
    return show(service)


def _as_known(desk: Desk, wanted: Wanted) -> Wanted:
    """Let a deploy of what a version runs already, packed at another time, be that; outside of any transaction."""
    present = desk.store.find(wanted.name, wanted.project_id or catalog.PROJECT.id)
    return as_known(present, wanted, desk.bundles.zip_of)


def _fetch(desk: Desk, *asked: ApplyService) -> Mapping[str, str]:
    """Fetch what new versions are made of, outside of any transaction; those that are there keep what they have."""
    wanting: dict[str, str] = {}
    for wanted in asked:
        present = desk.store.find(wanted.name, wanted.project_id or catalog.PROJECT.id)
        if is_known(present, wanted):
            continue
        wanting |= remotes_of(wanted.model_dump(mode="json", include={"ray_serve_config"}))
    return desk.fetcher.fetch_all(wanting)


def _deploy(
    desk: Desk, wanted: ApplyService, fetched: Mapping[str, str], *, lasting: bool = False
) -> Service:
    """Deploy within a transaction, and note it."""
    now = desk.clock()
    present = desk.store.find(wanted.name, wanted.project_id or catalog.PROJECT.id)
    tags = {**(present.tags if present else {}), **(wanted.tags or {})}
    service = deploy(present, wanted, desk.birth(wanted.project_id, fetched), lasting=lasting)
    service = service.replace(
        updated_at=now, tags=tags, description=wanted.description or service.description
    )
    desk.store.save(service)
    newest = service.canary or service.primary
    how = " in place" if wanted.rollout_strategy == "IN_PLACE" else _percent(wanted)
    desk.store.note(Event(service.id, now, "deploy", f"deploy {newest.name}{how}", newest.id))
    _note_image(desk, service.id, wanted.build_id)
    return service


def _note_image(desk: Desk, service_id: str, build_id: str) -> None:
    """Say what an image does on this plane."""
    if build_id != catalog.BUILD.id:
        name = desk.registry.builds.get(build_id).docker_image_name or build_id
        desk.store.note(Event(service_id, desk.clock(), "note", _IMAGE.format(image=name)))


def _percent(wanted: ApplyService) -> str:
    percent = "" if wanted.canary_percent is None else f" at {wanted.canary_percent} %"
    return (
        percent
        if wanted.max_surge_percent is None
        else f"{percent}, max_surge_percent {wanted.max_surge_percent}"
    )


def _check_apply(desk: Desk, wanted: ApplyService) -> None:
    """Refuse what could never start, before anything is written."""
    project = desk.registry.projects.get(wanted.project_id or catalog.PROJECT.id)
    desk.registry.builds.get(wanted.build_id)
    compute = desk.registry.computes.get(wanted.compute_config_id)
    if project.parent_cloud_id != compute.config.cloud_id:
        raise RejectedError(
            f"compute_config_id '{compute.id}' is of cloud '{compute.config.cloud_id}', project '{project.name}'"
            f" of cloud '{project.parent_cloud_id}'.",
            hint="Give both of one cloud.",
            status=422,
        )
    check_deploy(wanted, desk.bundles)


# ── taking back and ending ──────────────────────────────────────────────────


@routes.on(
    "POST /api/v2/services-v2/{service}/rollback",
    "POST /ext/v0/services-v2/{service}/rollback",
    "POST /ext/v0/services/{service}/rollback",
    body=RollbackService,
    bare=True,
    answer=ServiceWire,
    refusals=(404, 409),
)
def _rollback(desk: Desk, request: ApiRequest, service: str) -> Any:
    """Take the canary of a rollout back."""
    surge = request.body.max_surge_percent
    return show(desk.change(service, lambda s: roll_back(s, desk.clock(), surge=surge), "roll back"))


@routes.on(
    "POST /api/v2/services-v2/{service}/terminate",
    "POST /ext/v0/services-v2/{service}/terminate",
    "POST /ext/v0/services/{service}/terminate",
    answer=ServiceWire,
    refusals=(404,),
)
def _terminate(desk: Desk, _: ApiRequest, service: str) -> Any:
    """Stop a service."""
    return show(desk.change(service, lambda s: terminate(s, desk.clock()), "terminate"))


@routes.on(
    "POST /api/v2/services-v2/{service}/archive",
    "POST /ext/v0/services/{service}/archive",
    refusals=(404, 409),
)
def _archive(desk: Desk, _: ApiRequest, service: str) -> None:
    """Hide a service that has ended."""
    desk.change(service, archive, "archive")


@routes.on("DELETE /api/v2/services-v2/{service}", refusals=(404, 409))
def _delete(desk: Desk, _: ApiRequest, service: str) -> None:
    """Remove a service that has ended, and the uploads that only it had."""
    with desk.store.transaction():
        gone = desk.find(service)
        check_delete(gone)
        desk.store.delete(gone.id)
        still = {uri for one in desk.store.services() for spec in one.specs for uri in bundles_of(spec)}
    desk.bundles.forget({uri for spec in gone.specs for uri in bundles_of(spec)} - still)
    desk.on_change()
