"""Requests and errors a version, as counted by the router that splits the traffic.

The embedded plane serves them beside the API. They survive reloads of the router and restarts
of the plane; an error is a 5xx or no answer at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anyservice_core.effects import Op, Reply, Request
from anyservice_core.errors import TransportError
from anyservice_core.metrics.reading import Count, Reading, Target, Totals, Unreadable

__all__ = ["measure_router"]

_NOT_HERE = (
    "this control plane counts no traffic: the `router` provider needs the embedded plane, use another"
)


class _Version(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    version_id: str
    requests: int = Field(ge=0)
    errors: int = Field(ge=0)


class _Traffic(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    versions: tuple[_Version, ...]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    result: _Traffic


def measure_router(target: Target) -> Op[Reading]:
    """The router's running totals of both versions."""
    try:
        reply = yield from Request("GET", f"/plane/v1/services/{target.service_id}/traffic")
    except TransportError as error:
        return Unreadable(str(error))
    return _read(reply, target)


def _read(reply: Reply, target: Target) -> Reading:
    if reply.status == 404:
        return Unreadable(_NOT_HERE)
    if reply.status != 200:
        return Unreadable(f"the router's counters answered with HTTP {reply.status}")
    try:
        versions = _Answer.model_validate_json(reply.body).result.versions
    except ValidationError:
        return Unreadable("the router's counters came in a shape that is not known")
    counts = {version.version_id: Count(version.requests, version.errors) for version in versions}
    return _totals(counts, target)


def _totals(counts: Mapping[str, Count], target: Target) -> Reading:
    """A version that the router has not been told of yet has had no request."""
    nothing = Count(0, 0)
    return Totals(counts.get(target.canary_id, nothing), counts.get(target.primary_id, nothing))
