"""From an image (none, a URI, or a containerfile) to the build id that a deploy needs."""

from __future__ import annotations

from typing import Any

from anyservice_core.effects import Op, Request
from anyservice_core.errors import ConfigError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.wire import BuildWire, DeploymentInfra
from anyservice_core.operations.sending import send

__all__ = ["resolve"]

# The default image is asked for by Python and Ray version: the newest that the platform is known to have.
PYTHON_VERSION = "py311"
RAY_VERSION = "2.59.0"


def resolve(config: ServiceConfig, cloud_id: str) -> Op[str]:
    """The build that ``config`` means."""
    if config.containerfile:
        raise ConfigError(
            "containerfile: building an image is not supported yet.",
            hint="Build it yourself and give its image_uri.",
        )
    if config.image_uri:
        return (yield from _registered(config, cloud_id))
    params = {"python_version": PYTHON_VERSION, "ray_version": config.ray_version or RAY_VERSION}
    request = Request("GET", "/ext/v0/cluster_environment_builds/default", params=params)
    return (yield from send(request, BuildWire)).id


def _registered(config: ServiceConfig, cloud_id: str) -> Op[str]:
    infra = yield from send(Request("GET", "/api/v2/workos/deployment_infra"), DeploymentInfra)
    body: dict[str, Any] = {
        "image_uri": config.image_uri,
        "ray_version": config.ray_version,
        "registry_login_secret": config.registry_login_secret,
        "cloud_id": cloud_id if infra.deployment_infra == "azure" else None,
    }
    given = {key: value for key, value in body.items() if value is not None}
    request = Request("POST", "/api/v2/builds/get_or_create_build_from_image_uri", json=given)
    return (yield from send(request, BuildWire)).id
