"""Deploying: from a config to the one request that makes it so, and moving a canary's weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyservice_core.effects import Home, Op, Report
from anyservice_core.errors import ConfigError, ConflictError, NotFoundError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.mapping import apply_from_version, service_id
from anyservice_core.models.status import ServiceId
from anyservice_core.models.wire import ApplyService, ServiceWire, VersionWire
from anyservice_core.operations import bundles, compute, inside
from anyservice_core.operations.applying import Adopted, apply
from anyservice_core.operations.arrival import already_there, is_down, made
from anyservice_core.operations.drafting import Options, draft, placed, present
from anyservice_core.operations.lookup import by_id, locate
from anyservice_core.operations.notices import Ignored
from anyservice_core.operations.services import percent

__all__ = ["Deployed", "Ignored", "deploy", "prepare", "shift"]


@dataclass(frozen=True, slots=True)
class Deployed:
    """The server has taken the deploy; it happens from here on."""

    service: str
    version: str
    query_url: str

    def __str__(self) -> str:
        return f"{self.service}: version {self.version} deployed; it will answer at {self.query_url}"


def deploy(
    config: ServiceConfig | Mapping[str, Any] | str | Path,
    *,
    in_place: bool = False,
    canary_percent: int | None = None,
    max_surge_percent: int | None = None,
    cloud: str | None = None,
    project: str | None = None,
) -> Op[ServiceId]:
    """Deploy a service, or update the one of that name. Returns as soon as the server has taken it.

    ``config`` is a ``ServiceConfig``, a mapping of its fields or the path of a YAML file; ``cloud`` and
    ``project`` hold where it names none. Local folders are uploaded first.

    ``canary_percent`` (0 to 100) gives the new version that share of the traffic and holds it; without it the
    traffic moves by itself until the new version has all. ``max_surge_percent`` (0 to 100) is the excess
    capacity allowed meanwhile. ``in_place`` updates the running version instead of starting another.

    A deploy whose answer was lost is not sent twice, and one that is run again with the same
    ``version_name`` finds its version. Returns the service's id, which also knows ``version_id``,
    ``version_name``, ``service_name``, ``query_url`` and ``console_url``. Raises ``ConfigError`` for what cannot work.
    """
    options = Options(in_place, canary_percent, max_surge_percent)
    settled = yield from draft(placed(ServiceConfig.parse(config), cloud, project), options)
    service, version = yield from _arrive(settled.body, settled.before)
    return service_id(service, version, (yield from Home()))


def prepare(
    config: ServiceConfig | Mapping[str, Any] | str | Path,
    *,
    cloud: str | None = None,
    project: str | None = None,
) -> Op[ServiceConfig]:
    """Upload what is local and give back the config with URIs in its place.

    A URI is made of the content, so the prepared config is the same wherever it is prepared, and deploying it
    again uploads nothing.
    """
    wanted = yield from inside.completed(placed(ServiceConfig.parse(config), cloud, project))
    if not bundles.has_local(wanted):
        return wanted
    return (yield from bundles.upload_all(wanted, (yield from compute.cloud_of(wanted))))


def shift(
    name: str | None = None,
    *,
    canary_percent: int,
    id: str | None = None,
    cloud: str | None = None,
    project: str | None = None,
) -> Op[str]:
    """Move the canary to ``canary_percent`` of the traffic; 100 promotes it. Returns at once, with the id.

    Nothing local is sent: the request is made of the version that the server has.
    Raises ``ConflictError`` when there is no canary.
    """
    weight = percent("canary_percent", canary_percent)
    service = yield from locate(name, id, cloud, project)
    canary = _movable(service)
    if weight is None:
        raise ConfigError("canary_percent: missing; a number from 0 to 100.")
    yield from _arrive(apply_from_version(service, canary, weight), service, adopt=False)
    return service.id


def _movable(service: ServiceWire) -> VersionWire:
    canary = service.canary_version
    if canary is None or is_down(service):
        raise ConflictError(
            f"Service {service.name!r} has no canary whose weight could move.",
            status=409,
            hint="Deploy one first.",
        )
    if service.current_state == "ROLLING_BACK":  # the server would start it anew
        raise ConflictError(
            f"Service {service.name!r}: its canary is being taken back.",
            status=409,
            hint="Deploy it again when that is done.",
        )
    return canary


# ── the steps ───────────────────────────────────────────────────────────────


def _arrive(
    body: ApplyService, before: ServiceWire | None, *, adopt: bool = True
) -> Op[tuple[ServiceWire, VersionWire | None]]:
    """Send it, unless an earlier run of the same deploy has done so."""
    if adopt and before and (version := already_there(before, body)):
        yield from Report(Adopted(before.name, version.version))
        return before, version

    def reread() -> Op[ServiceWire | None]:
        if before is None:
            return (yield from present(body.name, str(body.project_id)))
        try:
            return (yield from by_id(before.id))
        except NotFoundError:
            return None

    service = yield from apply(body, before, reread)
    version = made(body, before, service)
    yield from Report(Deployed(service.name, version.version if version else "?", service.base_url))
    return service, version
