"""What the plane has of its own beside the API: traffic, the record and a page for Prometheus."""

from __future__ import annotations

from typing import Any

from anyservice_core.models.wire import TrafficWire, VersionTraffic
from anyservice_core.models.wire.base import Wire
from anyservice_core.plane import listing
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.routes import ApiReply, ApiRequest, Routes, Text
from anyservice_core.plane.state import Service

__all__ = ["routes"]

routes = Routes()


class _Noted(Wire):
    """One line of the record; ``at`` in seconds since the epoch."""

    number: int
    service_id: str
    at: float
    kind: str
    message: str
    version_id: str | None = None


@routes.on("GET /plane/v1/services/{service}/traffic", answer=TrafficWire, refusals=(404,))
def _traffic(desk: Desk, _: ApiRequest, service: str) -> Any:
    """Show what the router counted for each version of a service."""
    return _traffic_of(desk, desk.find(service))


def _traffic_of(desk: Desk, service: Service) -> TrafficWire:
    totals = desk.store.traffic(service.id)
    return TrafficWire(
        service_id=service.id,
        name=service.name,
        project=desk.registry.projects.get(service.project_id).name,
        at=desk.clock(),
        versions=[
            VersionTraffic(version_id=v.id, name=v.name, weight=v.weight, **totals.get(v.id, {}))
            for v in service.versions
        ],
    )


@routes.on("GET /plane/v1/services/{service}/events", answer=list[_Noted], refusals=(404,))
def _events(desk: Desk, _: ApiRequest, service: str) -> Any:
    """Show the newest hundred lines of a service's record, oldest first."""
    return [vars(event) for event in desk.store.events(desk.find(service).id)]


@routes.on("GET /metrics", answer=Text())
def _metrics(desk: Desk, _: ApiRequest) -> ApiReply:
    """Show traffic and weights of all services to Prometheus."""
    return ApiReply(200, listing.prometheus(_traffic_of(desk, service) for service in desk.store.living()))
