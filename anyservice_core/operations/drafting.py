"""From a config to the body of the one request that deploys it; nothing of the service itself is changed here.

Names of cloud, project, compute config and image become ids, and local folders URIs. What has to be made for that (a
compute config registered, an image built, a folder uploaded) is made, or, for a dry run, only said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from anyservice_core.effects import Op, Report
from anyservice_core.errors import ConfigError, ConflictError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.mapping import apply_from_config
from anyservice_core.models.wire import AccessWire, ApplyService, ServiceWire, VersionWire
from anyservice_core.operations import bundles, compute, connections, directory, images, inside
from anyservice_core.operations.arrival import is_down
from anyservice_core.operations.lookup import namesakes
from anyservice_core.operations.notices import Ignored
from anyservice_core.operations.services import percent

__all__ = ["UNMADE", "Draft", "Options", "draft", "live", "placed", "present"]

UNMADE = "(made when it is deployed)"
"""Stands in a dry run for the id of what is not there yet."""

_FIXED = (
    "image_uri",
    "containerfile",
    "registry_login_secret",
    "compute_config",
    "ray_gcs_external_storage_config",
    "tracing_config",
)


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


@dataclass(frozen=True, slots=True)
class Draft:
    """What a deploy sends, and the service as it was when that was settled, ``None`` if there was none.

    ``unmade`` names what a dry run has left out: ``compute_config``, ``image``.
    """

    body: ApplyService
    before: ServiceWire | None
    unmade: tuple[str, ...] = ()


def draft(config: ServiceConfig, options: Options, *, dry: bool = False) -> Op[Draft]:
    """Settle everything but the deploy itself. With ``dry`` nothing is made, and nothing sent but questions.

    Raises ``ConfigError`` for what cannot work, ``ConflictError`` where nothing runs that could be updated in place.
    """
    wanted = yield from inside.completed(config)
    if not wanted.name:
        raise ConfigError("name: missing; a service needs one.")
    wanted = yield from connections.resolve(wanted)
    how = _in_place if options.in_place else _rollout
    return (yield from how(wanted, options, dry=dry))


def placed(config: ServiceConfig, cloud: str | None, project: str | None) -> ServiceConfig:
    """``config`` with ``cloud`` and ``project`` where it names none."""
    return config.options(cloud=config.cloud or cloud, project=config.project or project)


def present(name: str, project_id: str) -> Op[ServiceWire | None]:
    """The service of this name in this project."""
    found = yield from namesakes(name, project=project_id)
    return next((service for service in found if service.project_id == project_id), None)


def live(service: ServiceWire | None) -> list[VersionWire]:
    """What it runs on, or ran on last."""
    both = (service.canary_version, service.primary_version) if service else ()
    return [version for version in both if version]


# ── a version of its own ────────────────────────────────────────────────────


def _rollout(config: ServiceConfig, options: Options, *, dry: bool) -> Op[Draft]:
    found = yield from compute.find(config)
    project_id = yield from directory.project_id(config.project, found.cloud_id)
    before = yield from present(str(config.name), project_id)
    _same_cloud(before, found.cloud_id)
    in_use = live(before)
    found = yield from compute.reuse(found, [version.compute_config_id for version in in_use])
    compute_id = yield from _compute_id(found, dry=dry)
    build_id = yield from _build_id(config, found.cloud_id, in_use, dry=dry)
    uploaded = yield from bundles.upload_all(config, found.cloud_id, upload=not dry)
    body = apply_from_config(
        uploaded,
        build_id=build_id or UNMADE,
        compute_config_id=compute_id or UNMADE,
        project_id=project_id,
        canary_percent=(yield from _meaningful(options.canary_percent, before)),
        max_surge_percent=options.max_surge_percent,
    )
    return Draft(body, before, _missing(compute_config=compute_id, image=build_id))


def _missing(**ids: str | None) -> tuple[str, ...]:
    return tuple(what for what, id in ids.items() if id is None)


def _compute_id(found: compute.Compute | compute.Wanted, *, dry: bool) -> Op[str | None]:
    if isinstance(found, compute.Compute):
        return found.id
    return None if dry else (yield from compute.register(found)).id


def _build_id(
    config: ServiceConfig, cloud_id: str, in_use: Iterable[VersionWire], *, dry: bool
) -> Op[str | None]:
    if dry:
        return (yield from images.find(config, cloud_id, [version.build_id for version in in_use]))
    return (yield from images.resolve(config, cloud_id))


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


# ── in place ────────────────────────────────────────────────────────────────


def _in_place(config: ServiceConfig, _options: Options, *, dry: bool) -> Op[Draft]:
    """The running version is the source of all that an update in place cannot change."""
    cloud_id = yield from compute.cloud_of(config)
    project_id = yield from directory.project_id(config.project, cloud_id)
    before, version = _running(config, (yield from present(str(config.name), project_id)))
    for field in _FIXED:
        if getattr(config, field) is not None:
            yield from Report(Ignored(field, "an update in place keeps what the running version has"))
    uploaded = yield from bundles.upload_all(config, before.cloud_id, upload=not dry)
    body = apply_from_config(
        uploaded,
        build_id=version.build_id,
        compute_config_id=version.compute_config_id,
        project_id=before.project_id,
        rollout_strategy="IN_PLACE",
    )
    return Draft(body.model_copy(update=_kept(body, before, version)), before)


def _running(config: ServiceConfig, before: ServiceWire | None) -> tuple[ServiceWire, VersionWire]:
    if before is None or is_down(before):
        raise ConflictError(
            f"Service {config.name!r} does not run, so there is nothing to update in place.",
            status=409,
            hint="Deploy it without in_place.",
        )
    if before.primary_version is None or before.canary_version is not None:
        raise ConflictError(
            f"Service {before.name!r} cannot be updated in place in the middle of a rollout.",
            status=409,
            hint="Finish it or roll it back first.",
        )
    return before, before.primary_version


def _kept(body: ApplyService, before: ServiceWire, version: VersionWire) -> dict[str, Any]:
    access = AccessWire(use_bearer_token=before.auth_token is not None)
    return {
        "ray_gcs_external_storage_config": version.ray_gcs_external_storage_config,
        "tracing_config": version.tracing_config,
        "config": body.config and body.config.model_copy(update={"access": access}),
    }
