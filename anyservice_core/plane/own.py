"""What the plane has of its own beside the API: traffic, the record and a page for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyservice_core.models.wire import TrafficWire, VersionTraffic
from anyservice_core.plane import listing
from anyservice_core.plane.routes import ApiReply, ApiRequest, Routes
from anyservice_core.plane.state import Service

if TYPE_CHECKING:
    from anyservice_core.plane.api import Api

__all__ = ["own"]

own = Routes()


@own.on("GET /plane/v1/services/{service}/traffic")
def _traffic(api: Api, _: ApiRequest, service: str) -> Any:
    return _traffic_of(api, api.find(service))


def _traffic_of(api: Api, service: Service) -> TrafficWire:
    totals = api.store.traffic(service.id)
    return TrafficWire(
        service_id=service.id,
        name=service.name,
        at=api.clock(),
        versions=[
            VersionTraffic(version_id=v.id, name=v.name, weight=v.weight, **totals.get(v.id, {}))
            for v in service.versions
        ],
    )


@own.on("GET /plane/v1/services/{service}/events")
def _events(api: Api, _: ApiRequest, service: str) -> Any:
    return [vars(event) for event in api.store.events(api.find(service).id)]


@own.on("GET /metrics")
def _metrics(api: Api, _: ApiRequest) -> ApiReply:
    return ApiReply(200, listing.prometheus(_traffic_of(api, service) for service in api.store.living()))
