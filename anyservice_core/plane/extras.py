"""What the API has beside the eight operations: events, versions and their weights, restart, tags, tokens."""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from anyservice_core.errors import ConflictError, NotFoundError, RejectedError
from anyservice_core.models.enums import ServiceState
from anyservice_core.models.wire.base import Percent, Wire
from anyservice_core.plane import catalog
from anyservice_core.plane.changes import restart
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.routes import ApiReply, ApiRequest, Routes
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import KEEP_EVENTS, Event
from anyservice_core.plane.view import show, show_version

if TYPE_CHECKING:
    from anyservice_core.plane.api import Api

__all__ = ["extras"]

extras = Routes()
_ORIGINS: Final = {
    "router": "ALB",
    "version": "SERVICE_VERSION",
    "weight": "SERVICE_VERSION",
    "fail": "CLUSTER",
}
_LOUD: Final = {"UNHEALTHY": "ERROR", "SYSTEM_FAILURE": "ERROR", "ROLLING_BACK": "WARNING"}


def _paged(request: ApiRequest, found: list[Any], *, count: int, most: int) -> ApiReply:
    """Cut one page out of all that was found."""
    start, size = _number(request, "paging_token", 0), _number(request, "count", count)
    if not 0 < size <= most:
        raise RejectedError(f"count is {size}; it must be 1 to {most}.", status=422)
    end = start + size
    token = str(end) if end < len(found) else None
    return ApiReply(
        200, {"results": found[start:end], "metadata": {"total": len(found), "next_paging_token": token}}
    )


def _number(request: ApiRequest, name: str, default: int) -> int:
    text = request.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise RejectedError(f"{name} '{text}' is no number of this plane's.", status=422)
    return int(text)


# ── events ──────────────────────────────────────────────────────────────────


@extras.on("GET /api/v2/services-v2/{service}/events", "GET /api/v2/events/service/{service}/events")
def _events(api: Api, request: ApiRequest, service: str) -> ApiReply:
    found = api.find(service)
    events = [_show_event(found, event) for event in api.store.events(found.id, limit=KEEP_EVENTS)]
    for key, name in (("origin", "origin"), ("level", "level")):
        if wanted := request.get(name):
            events = [event for event in events if event[key] == wanted.upper()]
    if text := request.get("message"):
        events = [event for event in events if text.lower() in event["message"].lower()]
    if (request.get("ascending_order") or "false").lower() != "true":
        events.reverse()
    return _paged(request, events, count=50, most=1000)


def _show_event(service: Service, event: Event) -> dict[str, Any]:
    names = {version.id: version.name for version in service.versions}
    return {
        "id": f"evt_{event.number}",
        "created_at": moment(event.at).isoformat(),
        "origin": _ORIGINS.get(event.kind, "SERVICE"),
        "level": "ERROR" if event.kind == "fail" else _LOUD.get(_leads_to(event.message), "INFO"),
        "message": event.message,
        "service_id": event.service_id,
        "service_version_id": event.version_id,
        "service_version_name": names.get(event.version_id or ""),
        "metadata": {"kind": event.kind},
    }


def _leads_to(message: str) -> str:
    """Give the last word before the reason: the state that something came into."""
    return message.partition(":")[0].rpartition(" ")[2]


# ── versions ────────────────────────────────────────────────────────────────


@extras.on("GET /api/v2/services-v2/{service}/versions")
def _versions(api: Api, request: ApiRequest, service: str) -> ApiReply:
    found = api.find(service)
    states = {state.upper() for state in request.all("state_filter")}
    living = [v for v in found.versions if not states or v.state in states]
    shown = [show_version(v, v.weight).model_dump(mode="json") for v in living]
    return _paged(request, shown, count=10, most=50)


@extras.on("GET /api/v2/services-v2/{service}/versions/{version}")
def _version(api: Api, _: ApiRequest, service: str, version: str) -> Any:
    found = api.find(service)
    for one in found.versions:
        if version in {one.name, one.id}:
            return show_version(one, one.weight)
    raise NotFoundError(f"Version '{version}' of service '{found.name}' was not found.", status=404)


class _Weight(Wire):
    id: str | None = None
    name: str | None = None
    traffic_percent: Percent


class _Weights(Wire):
    versions: list[_Weight]


@extras.on("PUT /api/v2/services-v2/{service}/update_weights")
def _update_weights(api: Api, request: ApiRequest, service: str) -> Any:
    asked = _Weights.model_validate(request.body or {})
    return show(api.change(service, lambda s: _weighed(s, asked.versions, api.clock()), "update weights"))


def _weighed(service: Service, asked: list[_Weight], now: float) -> Service:
    """Hold the canary of a rollout at another weight."""
    if service.canary is None or service.rollout is None or service.state is not ServiceState.ROLLING_OUT:
        raise ConflictError(
            f"service '{service.name}' is {service.state}: without two versions there is no weight to move.",
            status=409,
        )
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


@extras.on("POST /api/v2/services-v2/{service}/restart")
def _restart(api: Api, _: ApiRequest, service: str) -> Any:
    return show(api.change(service, lambda s: restart(s, api.birth(s.project_id)), "restart"))


# ── tags ────────────────────────────────────────────────────────────────────


class _Tagging(Wire):
    resource_type: Literal["service"]
    resource_id: str
    tags: dict[Annotated[str, Field(min_length=1, max_length=256)], Annotated[str, Field(max_length=256)]] = (
        Field(default_factory=dict)
    )
    keys: list[str] = Field(default_factory=list)


@extras.on("GET /api/v2/tags/resource")
def _tags(api: Api, request: ApiRequest) -> Any:
    asked = _Tagging.model_validate(dict(request.query))
    return _show_tags(api.find(asked.resource_id))


@extras.on("PUT /api/v2/tags/resource")
def _tag(api: Api, request: ApiRequest) -> Any:
    asked = _Tagging.model_validate(request.body or {})
    return _show_tags(
        api.change(asked.resource_id, lambda s: s.replace(tags={**s.tags, **asked.tags}), "tag")
    )


@extras.on("DELETE /api/v2/tags/resource")
def _untag(api: Api, request: ApiRequest) -> Any:
    asked = _Tagging.model_validate(request.body or {})
    before = api.find(asked.resource_id).tags
    left = {key: value for key, value in before.items() if key not in asked.keys}
    api.change(asked.resource_id, lambda s: s.replace(tags=left), "untag")
    return {"deleted": len(before) - len(left)}


def _show_tags(service: Service) -> dict[str, Any]:
    changed = moment(service.updated_at).isoformat()
    common = {
        "organization_id": catalog.USER.organization_ids[0],
        "resource_type": "service",
        "resource_id": service.id,
        "created_at": moment(service.created_at).isoformat(),
        "updated_at": changed,
    }
    tags = [
        {"id": f"tag_{service.id}_{number}", "key": key, "value": value, **common}
        for number, (key, value) in enumerate(sorted(service.tags.items()))
    ]
    return {"tags": tags}


# ── tokens ──────────────────────────────────────────────────────────────────


@extras.on("POST /api/v2/services-v2/{service}/add_secondary_auth_token")
def _add_token(api: Api, _: ApiRequest, service: str) -> Any:
    return show(api.change(service, _with_second_token, "add a second token"))


def _with_second_token(service: Service) -> Service:
    if service.auth_token is None:
        raise ConflictError(f"service '{service.name}' asks for no token.", status=409)
    if service.second_token is not None:
        raise ConflictError(
            f"service '{service.name}' has two tokens already.", hint="Delete one of them first.", status=409
        )
    return service.replace(second_token=secrets.token_urlsafe(24))


@extras.on("POST /api/v2/services-v2/{service}/delete_secondary_auth_token")
def _delete_token(api: Api, request: ApiRequest, service: str) -> Any:
    named = request.get("auth_token")
    return show(api.change(service, lambda s: _without_token(s, named), "delete a token"))


def _without_token(service: Service, named: str | None) -> Service:
    """Take a token away: the second one if it is named, else the first, whose place the second takes."""
    first, second = service.auth_token, service.second_token
    if second is None:
        raise ConflictError(
            f"service '{service.name}' has one token at most, and that stays.",
            hint="Add a second one first; it takes the place of the one that is deleted.",
            status=409,
        )
    if named is None or _same(named, first or ""):
        return service.replace(auth_token=second, second_token=None)
    if _same(named, second):
        return service.replace(second_token=None)
    raise NotFoundError(f"service '{service.name}' has no such token.", status=404)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
