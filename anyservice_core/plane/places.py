"""What official clients ask for on the way to a deploy: user, cloud, project, compute config, image.

A plane on one machine has one of each (``catalog``), so these handlers look at the request alone.
"""

from __future__ import annotations

from typing import Any

from anyservice_core.errors import NotFoundError, RejectedError
from anyservice_core.models.wire import Wire
from anyservice_core.plane import catalog
from anyservice_core.plane.routes import ApiReply, ApiRequest, Routes

__all__ = ["known", "places"]

places = Routes()


def known(shown: str | None, wanted: str, kind: str) -> None:
    """Refuse an id or name that is not the one this plane has.

    Raises:
        NotFoundError: naming both.
    """
    if shown != wanted:
        raise NotFoundError(f"{kind} '{shown}' not found; this plane has '{wanted}'.", status=404)


def _search(request: ApiRequest, only: Wire, name: str) -> ApiReply:
    """Answer a search by exact name over the one thing there is."""
    asked = (request.body or {}).get("name")
    wanted = asked.get("equals") if isinstance(asked, dict) else asked
    return _page(only, wanted is None or wanted == name)


def _page(only: Wire, is_it: bool) -> ApiReply:
    found = [only.model_dump(mode="json")] if is_it else []
    return ApiReply(200, {"results": found, "metadata": {"total": len(found), "next_paging_token": None}})


@places.on("GET /api/v2/userinfo")
def _user(_: ApiRequest) -> Any:
    return catalog.USER


@places.on("GET /ext/v0/clouds/default")
def _default_cloud(_: ApiRequest) -> Any:
    return catalog.CLOUD


@places.on("GET /ext/v0/clouds/{cloud}")
def _cloud(_: ApiRequest, cloud: str) -> Any:
    known(cloud, catalog.CLOUD.id, "Cloud")
    return catalog.CLOUD


@places.on("POST /api/v2/clouds/find_by_name")
def _cloud_by_name(request: ApiRequest) -> Any:
    known((request.body or {}).get("name"), catalog.CLOUD.name, "Cloud")
    return catalog.CLOUD


@places.on("GET /api/v2/clouds/{cloud}/resources")
def _cloud_resources(_: ApiRequest, cloud: str) -> ApiReply:
    known(cloud, catalog.CLOUD.id, "Cloud")
    return ApiReply(200, {"results": [], "metadata": {"total": 0, "next_paging_token": None}})


@places.on("GET /ext/v0/projects/default_project")
def _default_project(_: ApiRequest) -> Any:
    return catalog.PROJECT


@places.on("GET /api/v2/projects/find_by_name")
def _project_by_name(request: ApiRequest) -> ApiReply:
    return _page(catalog.PROJECT, request.get("name") == catalog.PROJECT.name)


@places.on("POST /ext/v0/projects/search")
def _project_search(request: ApiRequest) -> ApiReply:
    return _search(request, catalog.PROJECT, catalog.PROJECT.name)


@places.on("GET /api/v2/projects/{project}")
def _project(_: ApiRequest, project: str) -> Any:
    known(project, catalog.PROJECT.id, "Project")
    return catalog.PROJECT


@places.on("GET /ext/v0/cluster_computes/default")
def _default_compute(_: ApiRequest) -> Any:
    return catalog.COMPUTE


@places.on("GET /ext/v0/cluster_computes/{compute}", "GET /api/v2/compute_templates/{compute}")
def _compute(_: ApiRequest, compute: str) -> Any:
    known(compute, catalog.COMPUTE.id, "Compute config")
    return catalog.COMPUTE


@places.on("POST /api/v2/compute_templates/search")
def _compute_search(request: ApiRequest) -> ApiReply:
    return _search(request, catalog.COMPUTE, catalog.COMPUTE.name)


@places.on("GET /ext/v0/cluster_environment_builds/default")
def _default_build(_: ApiRequest) -> Any:
    return catalog.BUILD


@places.on("GET /ext/v0/cluster_environment_builds/{build}")
def _build(_: ApiRequest, build: str) -> Any:
    known(build, catalog.BUILD.id, "Image build")
    return catalog.BUILD


@places.on("GET /ext/v0/cluster_environments/{environment}")
def _environment(_: ApiRequest, environment: str) -> Any:
    known(environment, catalog.ENVIRONMENT.id, "Cluster environment")
    return catalog.ENVIRONMENT


@places.on("GET /api/v2/workos/deployment_infra")
def _infra(_: ApiRequest) -> Any:
    return {"deployment_infra": "local"}


@places.on(
    "POST /api/v2/builds/get_or_create_build_from_image_uri",
    "POST /ext/v0/cluster_environments",
    "POST /ext/v0/cluster_environments/search",
)
def _image(_: ApiRequest) -> Any:
    raise RejectedError(
        "this plane runs versions in its own Python and has no container engine.",
        hint="Leave image_uri and containerfile out; give requirements instead.",
        status=422,
    )


@places.on("POST /api/v2/compute_templates")
def _inline_compute(_: ApiRequest) -> Any:
    raise RejectedError(
        "this plane has one compute config, this machine.",
        hint=f"Leave compute_config out, or name it '{catalog.COMPUTE.name}'.",
        status=422,
    )


@places.on("POST /api/v2/cli_usage")
def _usage(_: ApiRequest) -> ApiReply:
    return ApiReply(204)
