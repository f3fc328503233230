"""Who and where: the user, the cloud and the project, from names to ids."""

from __future__ import annotations

from pydantic import BaseModel

from anyservice_core.effects import Op, Request
from anyservice_core.errors import ConfigError, NotFoundError
from anyservice_core.models.wire import CloudWire, ProjectWire, UserWire
from anyservice_core.operations import inside
from anyservice_core.operations.sending import exchange, read, send, send_page

__all__ = ["cloud_id", "me", "project_id", "project_name"]


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
    request = Request("GET", "/api/v2/projects/find_by_name", params={"name": name})
    try:
        reply = yield from exchange(request)
    except NotFoundError:
        return None
    found = read(request, reply, _Found)
    either = [found.result] if found.result else found.results
    fits = (
        project for project in either if project.name == name and cloud in {None, project.parent_cloud_id}
    )
    return next(fits, None)


def project_name(id: str) -> Op[str | None]:
    """What a person calls the project; ``None`` for the default one, or where we may not look."""
    if not id:
        return None
    try:
        project = yield from send(Request("GET", f"/api/v2/projects/{id}", lasting=True), ProjectWire)
    except NotFoundError:
        return None
    return None if project.name == "default" else project.name
