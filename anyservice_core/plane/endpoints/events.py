"""What happened to a service, as the API's events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field

from anyservice_core.models.wire.base import Wire
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.paging import Paged
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import KEEP_EVENTS, Event

__all__ = ["events"]

events = Routes()
_ORIGINS: Final = {
    "router": "ALB",
    "version": "SERVICE_VERSION",
    "weight": "SERVICE_VERSION",
    "fail": "CLUSTER",
}
_LOUD: Final = {"UNHEALTHY": "ERROR", "SYSTEM_FAILURE": "ERROR", "ROLLING_BACK": "WARNING"}


class _Listed(Paged):
    count: Annotated[int, Field(ge=1, le=1000)] = 50
    origin: str | None = None
    level: str | None = None
    message: str | None = None
    ascending_order: bool = False


class _EventWire(Wire):
    id: str
    created_at: datetime
    origin: str
    level: str
    message: str
    service_id: str
    service_version_id: str | None = None
    service_version_name: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


@events.on(
    "GET /api/v2/services-v2/{service}/events",
    "GET /api/v2/events/service/{service}/events",
    query=_Listed,
    answer=Page(_EventWire),
    refusals=(404,),
)
def _events(desk: Desk, request: ApiRequest, service: str) -> ApiReply:
    """List what happened to a service, the newest first."""
    asked: _Listed = request.asked
    found = desk.find(service)
    told = [_shown(found, event) for event in desk.store.events(found.id, limit=KEEP_EVENTS)]
    fitting = [event for event in told if _fits(event, asked)]
    return asked.cut(fitting if asked.ascending_order else fitting[::-1])


def _fits(event: _EventWire, asked: _Listed) -> bool:
    return (
        (not asked.origin or event.origin == asked.origin.upper())
        and (not asked.level or event.level == asked.level.upper())
        and (not asked.message or asked.message.lower() in event.message.lower())
    )


def _shown(service: Service, event: Event) -> _EventWire:
    names = {version.id: version.name for version in service.versions}
    return _EventWire(
        id=f"evt_{event.number}",
        created_at=moment(event.at),
        origin=_ORIGINS.get(event.kind, "SERVICE"),
        level="ERROR" if event.kind == "fail" else _LOUD.get(_leads_to(event.message), "INFO"),
        message=event.message,
        service_id=event.service_id,
        service_version_id=event.version_id,
        service_version_name=names.get(event.version_id or ""),
        metadata={"kind": event.kind},
    )


def _leads_to(message: str) -> str:
    """Give the last word before the reason: the state that something came into."""
    return message.partition(":")[0].rpartition(" ")[2]
