"""Tags of a service: seen, set and taken off."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.models.wire.base import Wire
from anyservice_core.plane import catalog
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.routes import ApiRequest, Routes
from anyservice_core.plane.state import Service

__all__ = ["routes"]

routes = Routes()
Key: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]
Value: TypeAlias = Annotated[str, Field(max_length=256)]


class _Resource(BaseModel):
    model_config = ConfigDict(frozen=True)

    resource_type: Literal["service"]
    resource_id: str


class _Tagging(_Resource):
    tags: Annotated[dict[Key, Value], Field(max_length=100)]


class _Untagging(_Resource):
    keys: list[str]


class _TagWire(Wire):
    id: str
    key: str
    value: str
    organization_id: str
    resource_type: str
    resource_id: str
    created_at: datetime
    updated_at: datetime


class _Tags(Wire):
    tags: list[_TagWire]


class _Untagged(Wire):
    deleted: int


@routes.on("GET /api/v2/tags/resource", query=_Resource, answer=_Tags, refusals=(404,))
def _tags(desk: Desk, request: ApiRequest) -> Any:
    """Show the tags of a service."""
    return _shown(desk.find(request.asked.resource_id))


@routes.on("PUT /api/v2/tags/resource", body=_Tagging, answer=_Tags, refusals=(404,))
def _tag(desk: Desk, request: ApiRequest) -> Any:
    """Set tags of a service; those that are not named stay."""
    asked: _Tagging = request.body
    return _shown(desk.change(asked.resource_id, lambda s: s.replace(tags={**s.tags, **asked.tags}), "tag"))


@routes.on("DELETE /api/v2/tags/resource", body=_Untagging, answer=_Untagged, refusals=(404,))
def _untag(desk: Desk, request: ApiRequest) -> Any:
    """Take tags off a service."""
    asked: _Untagging = request.body
    before = desk.find(asked.resource_id).tags
    left = {key: value for key, value in before.items() if key not in asked.keys}
    desk.change(asked.resource_id, lambda s: s.replace(tags=left), "untag")
    return _Untagged(deleted=len(before) - len(left))


def _shown(service: Service) -> _Tags:
    return _Tags(
        tags=[
            _TagWire(
                id=f"tag_{service.id}_{number}",
                key=key,
                value=value,
                organization_id=catalog.USER.organization_ids[0],
                resource_type="service",
                resource_id=service.id,
                created_at=moment(service.created_at),
                updated_at=moment(service.updated_at),
            )
            for number, (key, value) in enumerate(sorted(service.tags.items()))
        ]
    )
