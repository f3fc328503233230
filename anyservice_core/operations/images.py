"""From an image (none, a URI, or a containerfile) to the build id that a deploy needs.

A containerfile is built by the platform, once for each text: a build of the same text, done or under way, is used
again. ``find`` does all that leaves nothing behind, ``resolve`` the rest as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from anyservice_core import bundle
from anyservice_core.effects import Call, Now, Op, Report, Request, Sleep
from anyservice_core.errors import (
    ConfigError,
    ConflictError,
    NotFoundError,
    RejectedError,
    TransportError,
    UnavailableError,
    WaitTimeoutError,
)
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.wire import BuildOperation, BuildWire, ClusterEnvironmentWire, DeploymentInfra
from anyservice_core.operations import inside
from anyservice_core.operations.notices import Ignored
from anyservice_core.operations.paging import collect
from anyservice_core.operations.sending import backoff, send, send_page

__all__ = ["Building", "find", "read_containerfile", "resolve"]

# The default image is asked for by Python and Ray version: the newest that the platform is known to have.
PYTHON_VERSION = "py311"
RAY_VERSION = "2.59.0"

BUILDS = "/ext/v0/cluster_environment_builds/"
ENVIRONMENTS = "/ext/v0/cluster_environments/"
POLL_S = 3.0
TELL_S = 30.0
LONGEST_BUILD_S = 3600.0
_UNDER_WAY = frozenset({"pending", "in_progress"})
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Building:
    """An image is being built; ``seconds`` since it was asked for."""

    image: str
    status: str
    seconds: float

    def __str__(self) -> str:
        since = f" for {self.seconds:.0f} s" if self.seconds >= 1 else ""
        return f"image {self.image}: {self.status.replace('_', ' ')}{since}"


def resolve(config: ServiceConfig, cloud_id: str) -> Op[str]:
    """The build that ``config`` means. Raises ``ConfigError`` with the build's own words when it fails."""
    if config.containerfile:
        return (yield from _built(config, cloud_id))
    if config.image_uri:
        return (yield from _registered(config, cloud_id))
    return (yield from _usual(config))


def find(config: ServiceConfig, cloud_id: str, live: Sequence[str] = ()) -> Op[str | None]:
    """The build that ``config`` means, if there is one already; nothing is registered or built.

    ``live`` are the ids of those in use: an image by its URI can be looked for in no other way.
    """
    if config.image_uri:
        return (yield from _known(config, live))
    if not config.containerfile:
        return (yield from _usual(config))
    text = yield from read_containerfile(config.containerfile)
    found = yield from _environment(_name(config), (yield from _azure_s(cloud_id)))
    build = _fitting((yield from _builds(found.id)), text) if found else None
    return build.id if build and build.status == "succeeded" else None


def read_containerfile(containerfile: str) -> Op[str]:
    """The text of a containerfile. What has several lines is the text itself, anything else a path."""
    if "\n" in containerfile:
        return containerfile
    text: str = yield from Call(bundle.read_text, ("containerfile", containerfile))
    return text


# ── no image ────────────────────────────────────────────────────────────────


def _usual(config: ServiceConfig) -> Op[str]:
    if config.ray_version:
        yield from Report(Ignored("ray_version", "it goes with an image_uri or a containerfile"))
    ours = yield from inside.cluster()
    if ours and ours.cluster_environment_build_id:
        return ours.cluster_environment_build_id
    params = {"python_version": PYTHON_VERSION, "ray_version": RAY_VERSION}
    request = Request("GET", f"{BUILDS}default", params=params, lasting=True)
    return (yield from send(request, BuildWire)).id


# ── an image of the user's ──────────────────────────────────────────────────


def _registered(config: ServiceConfig, cloud_id: str) -> Op[str]:
    body = {
        "image_uri": (config.image_uri or "").strip(),
        "ray_version": config.ray_version,
        "registry_login_secret": config.registry_login_secret,
        "cloud_id": (yield from _azure_s(cloud_id)),
    }
    request = Request("POST", "/api/v2/builds/get_or_create_build_from_image_uri", json=_given(body))
    return (yield from send(request, BuildWire)).id


def _known(config: ServiceConfig, live: Sequence[str]) -> Op[str | None]:
    for id in dict.fromkeys(live):
        if (yield from _is_of(id, config)):
            return id
    return None


def _is_of(build_id: str, config: ServiceConfig) -> Op[bool]:
    try:
        build = yield from send(Request("GET", f"{BUILDS}{build_id}", lasting=True), BuildWire)
    except NotFoundError:
        return False
    return (
        build.docker_image_name == (config.image_uri or "").strip()
        and config.ray_version in {None, build.ray_version}
        and config.registry_login_secret == build.registry_login_secret
    )


def _azure_s(cloud_id: str) -> Op[str | None]:
    """The cloud's id where images belong to clouds."""
    request = Request("GET", "/api/v2/workos/deployment_infra", lasting=True)
    infra = yield from send(request, DeploymentInfra)
    return cloud_id if infra.deployment_infra == "azure" else None


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


# ── a containerfile ─────────────────────────────────────────────────────────


def _name(config: ServiceConfig) -> str:
    return f"image-for-service-{config.name}"


def _built(config: ServiceConfig, cloud_id: str) -> Op[str]:
    text = yield from read_containerfile(str(config.containerfile))
    environment = yield from _environment_made(_name(config), (yield from _azure_s(cloud_id)))
    build_id, status = yield from _build(environment, text, config)
    if status != "succeeded":
        yield from _wait(environment.name or _name(config), build_id)
    return build_id


def _environment(name: str, cloud_id: str | None) -> Op[ClusterEnvironmentWire | None]:
    body = {
        "name": {"equals": name},
        "paging": {"count": 1},
        "include_archived": False,
        "include_anonymous": True,
        "cloud_id": cloud_id,
    }
    request = Request("POST", f"{ENVIRONMENTS}search", json=_given(body))
    found = (yield from send_page(request, ClusterEnvironmentWire)).results
    return found[0] if found else None


def _environment_made(name: str, cloud_id: str | None) -> Op[ClusterEnvironmentWire]:
    """What the builds of one service's images belong to."""
    found = yield from _environment(name, cloud_id)
    if found:
        return found
    body = _given({"name": name, "anonymous": True, "cloud_id": cloud_id})
    try:
        # A second one of the same name is refused, so asking again after a lost answer does no harm.
        return (yield from send(Request("POST", ENVIRONMENTS, json=body), ClusterEnvironmentWire))
    except ConflictError:
        found = yield from _environment(name, cloud_id)
        if found is None:
            raise
        return found


def _builds(environment_id: str) -> Op[list[BuildWire]]:
    params = {"cluster_environment_id": environment_id, "desc": True, "count": 50}
    return (yield from collect(BUILDS, BuildWire, params))


def _fitting(builds: Iterable[BuildWire], text: str) -> BuildWire | None:
    """A build of this text: one that is done, or else one that is under way."""
    same = [build for build in builds if build.containerfile == text]
    done = (build for build in same if build.status == "succeeded")
    return next(done, None) or next((build for build in same if build.status in _UNDER_WAY), None)


def _build(environment: ClusterEnvironmentWire, text: str, config: ServiceConfig) -> Op[tuple[str, str]]:
    """Id and status of the build of ``text``, begun if need be. After a lost answer it is looked for first."""
    path = str(config.containerfile)
    body = {
        "cluster_environment_id": environment.id,
        "containerfile": text,
        "containerfile_path": None if "\n" in path else path,
        "ray_version": config.ray_version,
    }
    begin = Request("POST", BUILDS, json=_given(body), idempotent=False)
    for attempt in range(1, _ATTEMPTS):
        if known := _fitting((yield from _builds(environment.id)), text):
            return known.id, known.status
        try:
            return (yield from _begun(begin))
        except (TransportError, UnavailableError) as error:
            yield from backoff(attempt, error)
    return (yield from _begun(begin))


def _begun(begin: Request) -> Op[tuple[str, str]]:
    try:
        return (yield from send(begin, BuildOperation)).cluster_environment_build_id, "pending"
    except RejectedError as error:
        if error.status == 400:
            raise ConfigError(f"containerfile: {error.message}.", hint="Is its syntax right?") from None
        raise


def _wait(image: str, build_id: str) -> Op[None]:
    started = yield from Now()
    told: tuple[str, float] = ("", 0.0)
    while True:
        build = yield from send(Request("GET", f"{BUILDS}{build_id}"), BuildWire)
        seconds = (yield from Now()) - started
        if build.status != told[0] or seconds - told[1] >= TELL_S:
            told = (build.status, seconds)
            yield from Report(Building(image, build.status, seconds))
        if build.status == "succeeded":
            return
        if build.status not in _UNDER_WAY:
            raise _failed(image, build)
        if seconds >= LONGEST_BUILD_S:
            raise WaitTimeoutError(
                f"Image {image!r} was not built within {seconds:.0f} s.", state=build.status
            )
        yield from Sleep(POLL_S)


def _failed(image: str, build: BuildWire) -> ConfigError:
    why = f": {build.error_message}" if build.error_message else f", build {build.id} is {build.status}"
    page = f"/v2/container-images/{build.cluster_environment_id}/versions/{build.id}"
    return ConfigError(
        f"containerfile: image {image!r} could not be built{why}.",
        hint=f"The whole log is at {page} of the console.",
    )
