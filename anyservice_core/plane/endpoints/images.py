"""Images: recorded and shown, and not run, since that takes a container engine, which this plane has not.

A build is done as soon as it is asked for, because nothing is built. What a version runs in instead, this plane's own
Python, is said when it is deployed.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from anyservice_core.errors import ConflictError
from anyservice_core.models.wire import (
    BuildOperation,
    BuildWire,
    ClusterEnvironmentWire,
    ImageWire,
    LatestBuildWire,
)
from anyservice_core.models.wire.base import Wire
from anyservice_core.plane import catalog
from anyservice_core.plane.changes import new_id
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.endpoints.searches import NameSearch
from anyservice_core.plane.names import Name
from anyservice_core.plane.paging import Paged
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes, page

__all__ = ["routes"]

routes = Routes()
_MOST: Final = 50
_INSTEAD: Final = (
    "Recorded, and not built: this plane has no container engine. Versions that ask for this image run in the "
    "plane's own Python."
)


@routes.on("GET /ext/v0/cluster_environment_builds/default", answer=BuildWire)
def _default(_: Desk, __: ApiRequest) -> Any:
    """Show what versions run in, whatever image is asked for: this plane's own Python."""
    return catalog.BUILD


class _Builds(Paged):
    cluster_environment_id: str = ""
    desc: bool = False


@routes.on("GET /ext/v0/cluster_environment_builds", query=_Builds, answer=Page(BuildWire))
def _builds(desk: Desk, request: ApiRequest) -> ApiReply:
    """List the builds of an image, the oldest first unless asked otherwise."""
    asked: _Builds = request.asked
    found = [
        one
        for one in desk.registry.builds.all()
        if asked.cluster_environment_id in {"", one.cluster_environment_id}
    ]
    return asked.cut(found[::-1] if asked.desc else found)


@routes.on("GET /ext/v0/cluster_environment_builds/{build}", answer=BuildWire, refusals=(404,))
def _build(desk: Desk, _: ApiRequest, build: str) -> Any:
    """Show a build."""
    return desk.registry.builds.get(build)


@routes.on("GET /ext/v0/cluster_environments/{environment}", answer=ClusterEnvironmentWire, refusals=(404,))
def _environment(desk: Desk, _: ApiRequest, environment: str) -> Any:
    """Show an image, which is what builds are builds of."""
    return desk.registry.environments.get(environment)


@routes.on(
    "POST /ext/v0/cluster_environments/search",
    body=NameSearch,
    bare=True,
    answer=Page(ClusterEnvironmentWire),
)
def _search(desk: Desk, request: ApiRequest) -> ApiReply:
    """Search images by name."""
    fits = request.body.name.fits
    found = [one for one in desk.registry.environments.all() if fits(one.name) and not one.archived_at]
    return page(found[:_MOST], len(found))


class _NewEnvironment(Wire):
    name: Name
    anonymous: bool = False


@routes.on(
    "POST /ext/v0/cluster_environments", body=_NewEnvironment, answer=ClusterEnvironmentWire, refusals=(409,)
)
def _create_environment(desk: Desk, request: ApiRequest) -> Any:
    """Name an image, before the first build of it."""
    asked: _NewEnvironment = request.body
    with desk.store.transaction():
        if found := desk.registry.environments.first(lambda one: one.name == asked.name):
            _refuse_archived(found)
            raise ConflictError(f"an image is called '{asked.name}' already.", status=409)
        return _named(desk, asked.name, anonymous=asked.anonymous)


def _named(desk: Desk, name: str, *, anonymous: bool) -> ClusterEnvironmentWire:
    now = moment(desk.clock())
    changes = {"id": new_id("apt_"), "name": name, "anonymous": anonymous, "is_default": False}
    made = catalog.ENVIRONMENT.model_copy(update={**changes, "created_at": now, "last_modified_at": now})
    return desk.registry.environments.add(made)


class _NewBuild(Wire):
    cluster_environment_id: str
    containerfile: Annotated[str, Field(max_length=200_000)] | None = None
    docker_image_name: Annotated[str, Field(max_length=1000)] | None = None
    registry_login_secret: str | None = Field(default=None, repr=False)
    ray_version: str | None = None


@routes.on(
    "POST /ext/v0/cluster_environment_builds", body=_NewBuild, answer=BuildOperation, refusals=(404, 409)
)
def _create_build(desk: Desk, request: ApiRequest) -> Any:
    """Record a build of a containerfile; it is done at once, since nothing is built."""
    asked: _NewBuild = request.body
    with desk.store.transaction():
        of = desk.registry.environments.get(asked.cluster_environment_id)
        _refuse_archived(of)
        given = asked.model_dump(exclude={"cluster_environment_id"})
        build = _recorded(desk, of, is_byod=asked.containerfile is None, **given)
    return BuildOperation(id=new_id("op_"), completed=True, cluster_environment_build_id=build.id)


class _ImageUri(Wire):
    image_uri: Annotated[str, Field(min_length=1, max_length=1000)]
    registry_login_secret: str | None = Field(default=None, repr=False)
    ray_version: str | None = None
    cluster_env_name: Name | None = None
    cloud_id: str | None = None


@routes.on(
    "POST /api/v2/builds/get_or_create_build_from_image_uri",
    body=_ImageUri,
    answer=BuildWire,
    refusals=(409,),
)
def _of_uri(desk: Desk, request: ApiRequest) -> Any:
    """Record an image by where it is; one that is known already is given again."""
    asked: _ImageUri = request.body
    given = {
        "docker_image_name": asked.image_uri,
        "ray_version": asked.ray_version,
        "registry_login_secret": asked.registry_login_secret,
    }
    with desk.store.transaction():
        of = desk.registry.environments.first(lambda one: one.name == asked.cluster_env_name)
        if of is not None:
            _refuse_archived(of)
        same = desk.registry.builds.first(
            lambda one: (
                one.is_byod
                and given.items() <= vars(one).items()
                and asked.cluster_env_name in {None, (one.application_template or {}).get("name")}
            )
        )
        if same is not None:
            return same
        if of is None:
            of = _named(
                desk, asked.cluster_env_name or f"image-{new_id('', 8)}", anonymous=not asked.cluster_env_name
            )
        return _recorded(desk, of, is_byod=True, **given)


def _recorded(desk: Desk, of: ClusterEnvironmentWire, **fields: Any) -> BuildWire:
    now = moment(desk.clock())
    revision = 1 + sum(one.cluster_environment_id == of.id for one in desk.registry.builds.all())
    template = of.model_dump(mode="json", exclude={"anonymous", "is_default", "archived_at", "archiver_id"})
    whose = {
        "cluster_environment_id": of.id,
        "application_template_id": of.id,
        "application_template": template,
    }
    times = {"created_at": now, "last_modified_at": now}
    changes = {
        "id": new_id("bld_"),
        "revision": revision,
        "error_message": _INSTEAD,
        **times,
        **whose,
        **fields,
    }
    return desk.registry.builds.add(catalog.BUILD.model_copy(update=changes))


# ── images with their newest build, as official lists show them ─────────────


class _Listed(Paged):
    count: Annotated[int, Field(ge=0, le=1000)] = 10
    name_contains: str = ""
    image_name_contains: str = ""
    creator_id: str = ""
    project_id: str = ""
    include_archived: bool = False
    defaults_first: bool = True


@routes.on("GET /api/v2/application_templates", query=_Listed, answer=Page(ImageWire))
def _list(desk: Desk, request: ApiRequest) -> ApiReply:
    """List images, each with its newest build; no image belongs to a project."""
    asked: _Listed = request.asked
    newest = {one.cluster_environment_id: one for one in desk.registry.builds.all()}
    images = [_shown(one, newest.get(one.id)) for one in desk.registry.environments.all()]
    found = [one for one in images if _fits(one, asked)]
    if asked.defaults_first:
        found.sort(key=lambda one: not one.is_default)
    return asked.cut(found)


def _fits(one: ImageWire, asked: _Listed) -> bool:
    address = one.latest_build and one.latest_build.docker_image_name
    return (
        asked.name_contains in one.name
        and asked.image_name_contains in (address or "")
        and asked.creator_id in {"", one.creator_id}
        and not asked.project_id
        and (asked.include_archived or one.archived_at is None)
    )


def _shown(of: ClusterEnvironmentWire, newest: BuildWire | None) -> ImageWire:
    latest = newest and LatestBuildWire(
        application_template_name=of.name,
        application_template_id=of.id,
        **newest.model_dump(include={"id", "revision", "status", "docker_image_name", "error_message"}),
    )
    return ImageWire(**of.model_dump(), creator=catalog.CREATOR, latest_build=latest)


@routes.on("GET /api/v2/application_templates/{environment}", answer=ImageWire, refusals=(404,))
def _image(desk: Desk, _: ApiRequest, environment: str) -> Any:
    """Show an image with its newest build."""
    of = desk.registry.environments.get(environment)
    builds = [one for one in desk.registry.builds.all() if one.cluster_environment_id == of.id]
    return _shown(of, builds[-1] if builds else None)


@routes.on("POST /api/v2/application_templates/{environment}/archive", refusals=(404, 409))
def _archive(desk: Desk, _: ApiRequest, environment: str) -> None:
    """Hide an image and all of its builds; its name stays taken."""
    with desk.store.transaction():
        found = desk.registry.environments.get(environment)
        if found.is_default:
            raise ConflictError(f"image '{found.name}' is the default one, and stays.", status=409)
        changes = {"archived_at": moment(desk.clock()), "archiver_id": catalog.USER.id}
        desk.registry.environments.add(found.model_copy(update=changes))


def _refuse_archived(of: ClusterEnvironmentWire) -> None:
    if of.archived_at is not None:
        raise ConflictError(
            f"image '{of.name}' is archived, and its name stays taken.", hint="Take another name.", status=409
        )
