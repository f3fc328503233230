"""Who and where: the user, the cloud and the project, from names to ids."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from anyservice_core.effects import Op, Request, Together
from anyservice_core.errors import ConfigError, NotFoundError, RejectedError
from anyservice_core.models.wire import CloudWire, ProjectWire, UserWire
from anyservice_core.operations import inside
from anyservice_core.operations.sending import exchange, read, send, send_page

__all__ = ["called", "cloud_id", "me", "place", "project_id", "project_names"]


def me() -> Op[UserWire]:
    """The user whose token this is."""
    return (yield from send(Request("GET", "/api/v2/userinfo/", lasting=True), UserWire))


def cloud_id(name: str | None) -> Op[str]:
    """The cloud of that name; without one the workspace's, or the organization's default. An id stands for itself."""
    if name is not None and name.startswith("cld_"):
        return name
    if name is None:
        return (yield from _usual_cloud())
    try:
        cloud = yield from send(
            Request("POST", "/api/v2/clouds/find_by_name", json={"name": name}, lasting=True), CloudWire
        )
    except NotFoundError:
        raise ConfigError(
            f"cloud: no cloud is called {name!r}.", hint="Leave it out for the default."
        ) from None
    return cloud.id


def _usual_cloud() -> Op[str]:
    ours = yield from inside.workspace()
    if ours and ours.cloud_id:
        return ours.cloud_id
    return (yield from send(Request("GET", "/ext/v0/clouds/default", lasting=True), CloudWire)).id


def project_id(name: str | None, cloud: str | None) -> Op[str]:
    """The project of that name, within the cloud (an id) if one is given; without a name the workspace's or default one.

    An id stands for itself.
    """
    if name is not None and name.startswith("prj_"):
        return name
    if name is None:
        return (yield from _usual_project(cloud))
    found = (yield from _project_in(name, cloud)) if cloud else None
    found = found or (yield from _project_anywhere(name, cloud))
    if found is None:
        raise ConfigError(f"project: no project is called {name!r}.", hint="Leave it out for the default.")
    return found.id


def _usual_project(cloud: str | None) -> Op[str]:
    ours = yield from inside.workspace()
    if ours and ours.project_id and cloud in {None, ours.cloud_id}:
        return ours.project_id
    params = {"parent_cloud_id": cloud}
    request = Request("GET", "/ext/v0/projects/default_project", params=params, lasting=True)
    return (yield from send(request, ProjectWire)).id


def _project_in(name: str, cloud: str) -> Op[ProjectWire | None]:
    wanted = {"name": {"equals": name}, "parent_cloud_id": {"equals": cloud}}
    answer = yield from send_page(Request("POST", "/ext/v0/projects/search", json=wanted), ProjectWire)
    exact = [project for project in answer.results if project.name == name]
    return exact[0] if exact else None


class _Found(BaseModel):
    """Servers differ: some answer a find with one item, some with a list."""

    result: ProjectWire | None = None
    results: list[ProjectWire] = []


def _project_anywhere(name: str, cloud: str | None) -> Op[ProjectWire | None]:
    return _of_cloud((yield from _called(name)), cloud)


def _called(name: str) -> Op[list[ProjectWire]]:
    """The projects of that name, or some of them."""
    request = Request("GET", "/api/v2/projects/find_by_name", params={"name": name})
    try:
        reply = yield from exchange(request)
    except NotFoundError:
        return []
    found = read(request, reply, _Found)
    either = [found.result] if found.result else found.results
    return [project for project in either if project.name == name]


def _of_cloud(projects: list[ProjectWire], cloud: str | None) -> ProjectWire | None:
    return next((project for project in projects if cloud in {None, project.parent_cloud_id}), None)


# ── where to look ───────────────────────────────────────────────────────────


def place(cloud: str | None, project: str | None) -> Op[dict[str, str]]:
    """The filters ``cloud_id`` and ``project_id`` of a search: what is given, else what the workspace has.

    Both names are asked for at once.
    """
    if cloud is None and project is None:
        ours = yield from inside.workspace()
        both = {"cloud_id": ours.cloud_id, "project_id": ours.project_id} if ours else {}
        return {name: id for name, id in both.items() if id}
    if cloud is None:
        return {"project_id": (yield from project_id(project, None))}
    if project is None:
        return {"cloud_id": (yield from cloud_id(cloud))}
    return (yield from _place_of_both(cloud, project))


def _place_of_both(cloud: str, project: str) -> Op[dict[str, str]]:
    if project.startswith("prj_") or cloud.startswith("cld_"):
        known = yield from cloud_id(cloud)
        return {"cloud_id": known, "project_id": (yield from project_id(project, known))}
    asked: list[Op[Any]] = [cloud_id(cloud), _called(project)]
    known, projects = yield from Together(asked)
    found = _of_cloud(projects, known)  # of several of one name, a server may have shown another
    return {"cloud_id": known, "project_id": found.id if found else (yield from project_id(project, known))}


# ── what people call it ─────────────────────────────────────────────────────


def called(id: str, asked_for: str | None = None) -> Op[str | None]:
    """What a person calls the project; ``None`` for the default one, or where we may not look.

    ``asked_for`` is the name or id that it was found by, if any: a name need not be asked for again.
    """
    return (yield from project_names([id], asked_for)).get(id)


def project_names(ids: Iterable[str], asked_for: str | None = None) -> Op[dict[str, str | None]]:
    """The same for several, each asked for once, and all at once."""
    wanted = [id for id in dict.fromkeys(ids) if id]
    if asked_for and not asked_for.startswith("prj_"):
        return dict.fromkeys(wanted, _unless_default(asked_for))
    names = yield from Together([_project_name(id) for id in wanted])
    return dict(zip(wanted, names, strict=True))


def _unless_default(name: str) -> str | None:
    return None if name == "default" else name


def _project_name(id: str) -> Op[str | None]:
    try:
        project = yield from send(Request("GET", f"/api/v2/projects/{id}", lasting=True), ProjectWire)
    except RejectedError as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            raise
        return None
    return _unless_default(project.name)
