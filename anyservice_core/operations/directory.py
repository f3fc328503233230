"""Who and where: the user, the cloud and the project, from names to ids."""

from __future__ import annotations

from pydantic import BaseModel

from anyservice_core.effects import Op, Request
from anyservice_core.errors import ConfigError, NotFoundError
from anyservice_core.models.wire import CloudWire, ProjectWire, UserWire
from anyservice_core.operations.sending import exchange, read, send, send_page

__all__ = ["cloud_id", "me", "project_id", "project_name"]


def me() -> Op[UserWire]:
    """The user whose token this is."""
    return (yield from send(Request("GET", "/api/v2/userinfo/"), UserWire))


def cloud_id(name: str | None) -> Op[str]:
    """The cloud of that name, or the organization's default. An id stands for itself."""
    if name is not None and name.startswith("cld_"):
        return name
    if name is None:
        return (yield from send(Request("GET", "/ext/v0/clouds/default"), CloudWire)).id
    try:
        cloud = yield from send(
            Request("POST", "/api/v2/clouds/find_by_name", json={"name": name}), CloudWire
        )
    except NotFoundError:
        raise ConfigError(
            f"cloud: no cloud is called {name!r}.", hint="Leave it out for the default."
        ) from None
    return cloud.id


def project_id(name: str | None, cloud: str | None) -> Op[str]:
    """The project of that name, within the cloud (an id) if one is given; without a name its default one.

    An id stands for itself.
    """
    if name is not None and name.startswith("prj_"):
        return name
    if name is None:
        where = Request("GET", "/ext/v0/projects/default_project", params={"parent_cloud_id": cloud})
        return (yield from send(where, ProjectWire)).id
    found = (yield from _project_in(name, cloud)) if cloud else (yield from _project_anywhere(name))
    if found is None:
        raise ConfigError(f"project: no project is called {name!r}.", hint="Leave it out for the default.")
    return found.id


def _project_in(name: str, cloud: str) -> Op[ProjectWire | None]:
    wanted = {"name": {"equals": name}, "parent_cloud_id": {"equals": cloud}}
    answer = yield from send_page(Request("POST", "/ext/v0/projects/search", json=wanted), ProjectWire)
    exact = [project for project in answer.results if project.name == name]
    return exact[0] if exact else None


class _Found(BaseModel):
    """Servers differ: some answer a find with one item, some with a list."""

    result: ProjectWire | None = None
    results: list[ProjectWire] = []


def _project_anywhere(name: str) -> Op[ProjectWire | None]:
    request = Request("GET", "/api/v2/projects/find_by_name", params={"name": name})
    try:
        reply = yield from exchange(request)
    except NotFoundError:
        return None
    found = read(request, reply, _Found)
    either = [found.result] if found.result else found.results
    return next((project for project in either if project.name == name), None)


def project_name(id: str) -> Op[str | None]:
    """What a person calls the project; ``None`` for the default one, or where we may not look."""
    if not id:
        return None
    try:
        project = yield from send(Request("GET", f"/api/v2/projects/{id}"), ProjectWire)
    except NotFoundError:
        return None
    return None if project.name == "default" else project.name
