"""What happened to a service, as the API's events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import Field

from anyservice_core.models.wire.base import Wire
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.paging import Paged
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import KEEP_EVENTS, Event

__all__ = ["routes"]

routes = Routes()
_ORIGINS: Final = {
    "router": "ALB",
    "version": "SERVICE_VERSION",
    "weight": "SERVICE_VERSION",
    "capacity": "SERVICE_VERSION",
    "fail": "CLUSTER",
}
_LOUD: Final = {"UNHEALTHY": "ERROR", "SYSTEM_FAILURE": "ERROR", "ROLLING_BACK": "WARNING"}


class _Listed(Paged):
    count: Annotated[int, Field(ge=1, le=1000)] = 50
    origin: list[str] = Field(default_factory=list, max_length=50)
    level: list[str] = Field(default_factory=list, max_length=50)
    message: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    ascending_order: bool = False

    def fits(self, event: _EventWire) -> bool:
        """Say whether this event is asked for: from any of the origins, at any of the levels, between the times."""
        return (
            (not self.origin or event.origin in {origin.upper() for origin in self.origin})
            and (not self.level or event.level in {level.upper() for level in self.level})
            and self.message in event.message
            and (self.start_time is None or event.created_at > _aware(self.start_time))
            and (self.end_time is None or event.created_at < _aware(self.end_time))
        )


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


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


@routes.on(
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
    fitting = [event for event in told if asked.fits(event)]
    return asked.cut(fitting if asked.ascending_order else fitting[::-1])


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
