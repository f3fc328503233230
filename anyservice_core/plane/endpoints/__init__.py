"""What can be asked of the plane, one room for each kind of thing."""

from anyservice_core.plane.endpoints import (
    clouds,
    computes,
    connections,
    events,
    images,
    own,
    projects,
    services,
    tags,
    tokens,
    uploads,
    versions,
)
from anyservice_core.plane.routes import Routes

__all__ = ["ROOMS", "endpoints"]

ROOMS = (
    services,
    versions,
    events,
    tags,
    tokens,
    clouds,
    projects,
    computes,
    images,
    connections,
    uploads,
    own,
)
endpoints = Routes(*(room.routes for room in ROOMS))
