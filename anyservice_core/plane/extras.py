"""What the API has beside the eight operations: a service's events and its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from anyservice_core.errors import NotFoundError, RejectedError
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.routes import ApiReply, ApiRequest, Routes
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import Event
from anyservice_core.plane.view import show_version

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
    events = [_show_event(found, event) for event in api.store.events(found.id, limit=10_000)]
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
        "level": next((level for word, level in _LOUD.items() if word in event.message), "INFO"),
        "message": event.message,
        "service_id": event.service_id,
        "service_version_id": event.version_id,
        "service_version_name": names.get(event.version_id or ""),
        "metadata": {"kind": event.kind},
    }


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
