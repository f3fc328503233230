"""Projects: they keep services apart that may bear the same name."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from anyservice_core.errors import ConflictError
from anyservice_core.models.wire import ProjectWire
from anyservice_core.models.wire.base import Wire
from anyservice_core.plane import catalog
from anyservice_core.plane.changes import new_id
from anyservice_core.plane.checklist import moment
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.endpoints.searches import Equals, NameSearch
from anyservice_core.plane.names import Name
from anyservice_core.plane.paging import Paged
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes, page

__all__ = ["routes"]

routes = Routes()
_MOST: Final = 50


class _OfCloud(Wire):
    parent_cloud_id: str = catalog.CLOUD.id


@routes.on(
    "GET /ext/v0/projects/default_project",
    "GET /api/v2/projects/default_project",
    query=_OfCloud,
    answer=ProjectWire,
    refusals=(404,),
)
def _default(desk: Desk, request: ApiRequest) -> Any:
    """Show the default project of a cloud."""
    cloud = desk.registry.clouds.get(request.asked.parent_cloud_id or catalog.CLOUD.id)
    return desk.registry.projects.get(cloud.id.replace("cld_", "prj_"))


class _Listed(Paged):
    name_contains: str = ""
    creator_id: str = ""
    parent_cloud_id: str = ""
    include_defaults: bool = True
    sort_field: Literal["NAME", "LAST_USED_CLOUD", "CREATED_AT"] | None = None
    sort_order: Literal["ASC", "DESC"] = "ASC"


@routes.on("GET /api/v2/projects", "GET /ext/v0/projects", query=_Listed, answer=Page(ProjectWire))
def _list(desk: Desk, request: ApiRequest) -> ApiReply:
    """List projects."""
    asked: _Listed = request.asked
    found = [one for one in desk.registry.projects.all() if _fits(one, asked)]
    if asked.sort_field == "NAME":
        found.sort(key=lambda one: one.name)
    return asked.cut(found[::-1] if asked.sort_field and asked.sort_order == "DESC" else found)


def _fits(one: ProjectWire, asked: _Listed) -> bool:
    return (
        asked.name_contains in one.name
        and asked.creator_id in {"", one.creator_id}
        and asked.parent_cloud_id in {"", one.parent_cloud_id}
        and (asked.include_defaults or not one.is_default)
    )


class _Called(Wire):
    name: Annotated[str, Field(min_length=1)]


@routes.on("GET /api/v2/projects/find_by_name", query=_Called, answer=Page(ProjectWire))
def _by_name(desk: Desk, request: ApiRequest) -> ApiReply:
    """List the projects of a name; each cloud may have one."""
    found = [one for one in desk.registry.projects.all() if one.name == request.asked.name]
    return page(found[:_MOST], len(found))


class _Search(NameSearch):
    parent_cloud_id: Equals = Equals()


@routes.on("POST /ext/v0/projects/search", body=_Search, bare=True, answer=Page(ProjectWire))
def _search(desk: Desk, request: ApiRequest) -> ApiReply:
    """Search projects by name and cloud."""
    asked: _Search = request.body
    fits, of = asked.name.fits, asked.parent_cloud_id.fits
    found = [one for one in desk.registry.projects.all() if fits(one.name) and of(one.parent_cloud_id)]
    return page(found[:_MOST], len(found))


@routes.on(
    "GET /api/v2/projects/{project}", "GET /ext/v0/projects/{project}", answer=ProjectWire, refusals=(404,)
)
def _show(desk: Desk, _: ApiRequest, project: str) -> Any:
    """Show a project."""
    return desk.registry.projects.get(project)


class _NewProject(Wire):
    name: Name
    description: Annotated[str, Field(max_length=1000)] = ""
    parent_cloud_id: str | None = None
    cloud_id: str | None = None


@routes.on(
    "POST /api/v2/projects",
    "POST /ext/v0/projects",
    body=_NewProject,
    answer=ProjectWire,
    refusals=(404, 409),
)
def _create(desk: Desk, request: ApiRequest) -> Any:
    """Add a project to a cloud."""
    asked: _NewProject = request.body
    with desk.store.transaction():
        cloud = desk.registry.clouds.get(asked.parent_cloud_id or asked.cloud_id or catalog.CLOUD.id)
        if desk.registry.projects.first(lambda p: (p.name, p.parent_cloud_id) == (asked.name, cloud.id)):
            raise ConflictError(
                f"cloud '{cloud.name}' has a project called '{asked.name}' already.", status=409
            )
        changes = {
            "id": new_id("prj_"),
            "name": asked.name,
            "description": asked.description,
            "parent_cloud_id": cloud.id,
            "created_at": moment(desk.clock()),
            "is_default": False,
            "directory_name": asked.name,
        }
        return desk.registry.projects.add(catalog.PROJECT.model_copy(update=changes))


@routes.on("DELETE /api/v2/projects/{project}", "DELETE /ext/v0/projects/{project}", refusals=(404, 409))
def _delete(desk: Desk, _: ApiRequest, project: str) -> None:
    """Remove a project in which no service is left."""
    with desk.store.transaction():
        gone = desk.registry.projects.get(project)
        if gone.is_default:
            raise ConflictError(
                f"project '{gone.name}' is the default one of its cloud, and stays.", status=409
            )
        if held := [one.name for one in desk.store.services() if one.project_id == gone.id]:
            raise ConflictError(
                f"project '{gone.name}' has {len(held)} services, such as '{held[0]}'.",
                hint="Delete them first.",
                status=409,
            )
        desk.registry.projects.remove(gone.id)
