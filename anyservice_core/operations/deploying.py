"""Deploying: from a config to the one request that makes it so, and moving a canary's weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyservice_core.effects import Op, Report
from anyservice_core.errors import ConfigError, ConflictError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.mapping import apply_from_config, apply_from_version, service_id
from anyservice_core.models.status import ServiceId
from anyservice_core.models.wire import AccessWire, ApplyService, ServiceWire, VersionWire
from anyservice_core.operations import bundles, compute, directory, images
from anyservice_core.operations.applying import Adopted, already_there, apply, carries
from anyservice_core.operations.lookup import by_id, locate, namesakes
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


@dataclass(frozen=True, slots=True)
class Options:
    """How to deploy, checked."""

    in_place: bool = False
    canary_percent: int | None = None
    max_surge_percent: int | None = None

    def __post_init__(self) -> None:
        for field in ("canary_percent", "max_surge_percent"):
            value = percent(field, getattr(self, field))
            if self.in_place and value is not None:
                raise ConfigError(f"{field}: has no meaning with in_place; leave one of them out.")


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
    ``version_name``, ``service_name`` and ``query_url``. Raises ``ConfigError`` for what cannot work.
    """
    options = Options(in_place, canary_percent, max_surge_percent)
    wanted = _named(_placed(ServiceConfig.parse(config), cloud, project))
    found = yield from namesakes(str(wanted.name))
    source = _in_place(wanted, found) if in_place else _rollout(wanted, found, options)
    before, body = yield from source
    service, version = yield from _arrive(body, before)
    return service_id(service, version)


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
    wanted = _placed(ServiceConfig.parse(config), cloud, project)
    if not bundles.has_local(wanted):
        return wanted
    resolved = yield from compute.resolve(wanted)
    return (yield from bundles.upload_all(wanted, resolved.cloud_id))


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
    if weight is None or service.canary_version is None:
        raise ConflictError(
            f"Service {service.name!r} has no canary whose weight could move.",
            status=409,
            hint="Deploy one first.",
        )
    yield from _arrive(apply_from_version(service, service.canary_version, weight), service, adopt=False)
    return service.id


# ── the steps ───────────────────────────────────────────────────────────────


def _placed(config: ServiceConfig, cloud: str | None, project: str | None) -> ServiceConfig:
    return config.options(cloud=config.cloud or cloud, project=config.project or project)


def _named(config: ServiceConfig) -> ServiceConfig:
    if not config.name:
        raise ConfigError("name: missing; a service needs one.")
    return config


def _rollout(
    config: ServiceConfig, found: list[ServiceWire], options: Options
) -> Op[tuple[ServiceWire | None, ApplyService]]:
    """What the server needs to know, asked for in the order that the API's own client does."""
    resolved = yield from compute.resolve(config)
    build_id = yield from images.resolve(config, resolved.cloud_id)
    project_id = yield from directory.project_id(config.project, resolved.cloud_id)
    before = next((service for service in found if service.project_id == project_id), None)
    _same_cloud(before, resolved.cloud_id)
    uploaded = yield from bundles.upload_all(config, resolved.cloud_id)
    canary_percent = yield from _meaningful(options.canary_percent, before)
    return before, apply_from_config(
        uploaded,
        build_id=build_id,
        compute_config_id=resolved.id,
        project_id=project_id,
        canary_percent=canary_percent,
        max_surge_percent=options.max_surge_percent,
    )


def _same_cloud(before: ServiceWire | None, cloud_id: str) -> None:
    if before and before.cloud_id and before.cloud_id != cloud_id:
        raise ConfigError(
            f"cloud: service {before.name!r} is in {before.cloud_id} and cannot move to {cloud_id}.",
            hint="Deploy it under another name, then terminate this one.",
        )


def _meaningful(canary_percent: int | None, before: ServiceWire | None) -> Op[int | None]:
    """A service that does not run has nothing to share its traffic with."""
    if canary_percent is not None and (before is None or before.current_state == "TERMINATED"):
        yield from Report(Ignored("canary_percent", "no version runs yet, so this one gets all the traffic"))
        return None
    return canary_percent


def _in_place(config: ServiceConfig, found: list[ServiceWire]) -> Op[tuple[ServiceWire | None, ApplyService]]:
    """The running version is the source of all that an update in place cannot change."""
    before = yield from _running(config, found)
    version = before.primary_version
    if version is None or before.canary_version is not None:
        raise ConflictError(
            f"Service {before.name!r} cannot be updated in place in the middle of a rollout.",
            status=409,
            hint="Finish it or roll it back first.",
        )
    uploaded = yield from bundles.upload_all(config, before.cloud_id)
    body = apply_from_config(
        uploaded,
        build_id=version.build_id,
        compute_config_id=version.compute_config_id,
        project_id=before.project_id,
        rollout_strategy="IN_PLACE",
    )
    kept = {
        "ray_gcs_external_storage_config": version.ray_gcs_external_storage_config,
        "tracing_config": version.tracing_config,
        "config": body.config
        and body.config.model_copy(
            update={"access": AccessWire(use_bearer_token=before.auth_token is not None)}
        ),
    }
    return before, body.model_copy(update=kept)


def _running(config: ServiceConfig, found: list[ServiceWire]) -> Op[ServiceWire]:
    project_id = yield from directory.project_id(config.project, found[0].cloud_id if found else None)
    before = next((service for service in found if service.project_id == project_id), None)
    if before is None or before.current_state in {"TERMINATING", "TERMINATED"}:
        raise ConflictError(
            f"Service {config.name!r} does not run, so there is nothing to update in place.",
            status=409,
            hint="Deploy it without in_place.",
        )
    return before


def _arrive(
    body: ApplyService, before: ServiceWire | None, *, adopt: bool = True
) -> Op[tuple[ServiceWire, VersionWire | None]]:
    """Send it, unless an earlier run of the same deploy has done so."""
    if adopt and before and (version := already_there(before, body)):
        yield from Report(Adopted(before.name, version.version))
        return before, version

    def reread() -> Op[ServiceWire | None]:
        if before:
            return (yield from by_id(before.id))
        found = yield from namesakes(body.name)
        return next((service for service in found if service.project_id == body.project_id), None)

    service = yield from apply(body, before, reread)
    made = carries(service, body, before) or service.canary_version or service.primary_version
    yield from Report(Deployed(service.name, made.version if made else "?", service.base_url))
    return service, made
