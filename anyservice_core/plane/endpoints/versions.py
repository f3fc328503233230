"""Versions of a service: which there are, what weight they have, and starting the last one again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from anyservice_core.errors import ConflictError, NotFoundError, RejectedError
from anyservice_core.models.wire import ServiceWire, VersionWire
from anyservice_core.models.wire.base import Percent, Wire
from anyservice_core.plane.changes import restart
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.lifecycle import SERVICE, ServiceEvent, advance
from anyservice_core.plane.paging import Paged
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes
from anyservice_core.plane.state import Service
from anyservice_core.plane.view import show, show_version

__all__ = ["routes"]

routes = Routes()


class _Listed(Paged):
    state_filter: list[str] = Field(default_factory=list, max_length=50)


@routes.on(
    "GET /api/v2/services-v2/{service}/versions", query=_Listed, answer=Page(VersionWire), refusals=(404,)
)
def _versions(desk: Desk, request: ApiRequest, service: str) -> ApiReply:
    """List the versions that a service has now."""
    found = desk.find(service)
    asked: _Listed = request.asked
    states = {state.upper() for state in asked.state_filter}
    living = [v for v in found.versions if not states or v.state in states]
    return asked.cut([show_version(v, v.weight) for v in living])


@routes.on("GET /api/v2/services-v2/{service}/versions/{version}", answer=VersionWire, refusals=(404,))
def _version(desk: Desk, _: ApiRequest, service: str, version: str) -> Any:
    """Show a version, by its name or id."""
    found = desk.find(service)
    for one in found.versions:
        if version in {one.name, one.id}:
            return show_version(one, one.weight)
    raise NotFoundError(f"Version '{version}' of service '{found.name}' was not found.", status=404)


# ── weights ─────────────────────────────────────────────────────────────────


class _Weight(Wire):
    id: str | None = None
    name: str | None = None
    traffic_percent: Percent


class _Weights(Wire):
    versions: Annotated[list[_Weight], Field(min_length=1, max_length=20)]


@routes.on(
    "PUT /api/v2/services-v2/{service}/update_weights",
    body=_Weights,
    answer=ServiceWire,
    refusals=(404, 409, 422),
)
def _update_weights(desk: Desk, request: ApiRequest, service: str) -> Any:
    """Move the weights of a rollout, and hold them there."""
    asked: _Weights = request.body
    return show(desk.change(service, lambda s: _weighed(s, asked.versions, desk.clock()), "update weights"))


def _weighed(service: Service, asked: list[_Weight], now: float) -> Service:
    """Hold the canary of a rollout at another weight."""
    hint = "Without two versions there is no weight to move: deploy one beside the present one first."
    advance(SERVICE, service.state, ServiceEvent.WEIGH, what=f"service '{service.name}'", hint=hint)
    if service.canary is None or service.rollout is None:  # the table knows: there are both in this state
        raise ConflictError(f"service '{service.name}' has no canary.", hint=hint, status=409)
    both = {
        one: version for version in (service.primary, service.canary) for one in (version.id, version.name)
    }
    weights: dict[str, int] = {}
    for weight in asked:
        version = both.get(weight.id or weight.name or "")
        if version is None:
            raise NotFoundError(f"Version '{weight.id or weight.name}' was not found.", status=404)
        weights[version.id] = weight.traffic_percent
    percent = weights.get(service.canary.id, 100 - weights.get(service.primary.id, 100))
    if percent + weights.get(service.primary.id, 100 - percent) != 100:
        raise RejectedError("the versions' traffic_percent does not add up to 100.", status=422)
    moved = service.rollout.replace(percent=percent, automatic=False, since=now)
    return service.replace(rollout=moved)


@routes.on("POST /api/v2/services-v2/{service}/restart", answer=ServiceWire, refusals=(404, 409))
def _restart(desk: Desk, _: ApiRequest, service: str) -> Any:
    """Start a service that has ended again, with what it served last."""
    return show(desk.change(service, lambda s: restart(s, desk.birth(s.project_id)), "restart"))
