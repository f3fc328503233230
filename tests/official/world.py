"""What the platform has and a plane on one machine has not: other places, images, inline compute configs.

Handlers answer as the platform would, or give ``None``, which leaves the answer to the plane. So does ``fault``
with whatever shall go wrong. Nothing here has rules of its own beyond what a client needs to go on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from anyservice_core.errors import NotFoundError
from anyservice_core.models.wire import ComputeTemplateWire
from anyservice_core.plane import catalog
from anyservice_core.plane.registry import Registry
from anyservice_core.plane.routes import ApiReply, ApiRequest, Routes

__all__ = ["APPS", "BIG", "OTHER_CLOUD", "World"]

world = Routes()


def _like(model: Any, **fields: Any) -> dict[str, Any]:
    return {**model.model_dump(mode="json"), **fields}


def _compute(id: str, name: str, cloud_id: str = catalog.CLOUD.id, **fields: Any) -> dict[str, Any]:
    whole = _like(catalog.COMPUTE, id=id, name=name, **fields)
    whole["config"] |= {"cloud_id": cloud_id, "cloud": {"id": cloud_id, "name": "c", "provider": "AWS"}}
    return whole


OTHER_CLOUD = _like(catalog.CLOUD, id="cld_other11111111111111111111111", name="other", is_default=False)
APPS = _like(catalog.PROJECT, id="prj_apps111111111111111111111111", name="apps", is_default=False)
OTHERS = _like(
    catalog.PROJECT, id="prj_other11111111111111111111111", parent_cloud_id=OTHER_CLOUD["id"], name="default"
)
BIG = _compute("cpt_big1111111111111111111111111", "big", version=4)
OLD_BIG = _compute("cpt_oldbig1111111111111111111111", "big", version=3)
FAR = _compute("cpt_far1111111111111111111111111", "far", OTHER_CLOUD["id"])
COMPUTES = [BIG, OLD_BIG, FAR]
IMAGES = _like(catalog.ENVIRONMENT, id="apt_images1111111111111111111111", is_default=False, anonymous=True)
IMAGE_BUILD = _like(
    catalog.BUILD, id="bld_image11111111111111111111111", is_byod=True, application_template=IMAGES
)
CLOUD_BUILD = "bld_containerfile111111111111111"


@dataclass
class World:
    """What one scenario has made so far, and what shall go wrong in it."""

    computes: dict[str, dict[str, Any]] = field(default_factory=lambda: {c["id"]: c for c in COMPUTES})
    environments: list[dict[str, Any]] = field(default_factory=list)
    builds: list[dict[str, Any]] = field(default_factory=list)
    faults: list[tuple[str, ApiReply, int]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def fault(self, line: str, status: int, *, detail: str = "scripted", times: int = 1_000) -> None:
        """Answer requests whose ``METHOD /path`` matches the pattern with an error, so many times."""
        self.faults.append((line, ApiReply(status, {"error": {"detail": detail}}), times))

    def answer(self, request: ApiRequest) -> ApiReply | None:
        if broken := self._broken(f"{request.method} {request.path}"):
            return broken
        if not world.knows(request):
            return None
        handler, names = world.find(request)
        try:
            reply = handler(self, request, **names)
        except NotFoundError as error:
            return ApiReply(404, {"error": {"detail": str(error)}})
        return reply if isinstance(reply, ApiReply) or reply is None else ApiReply(200, reply)

    def _broken(self, line: str) -> ApiReply | None:
        for number, (pattern, reply, times) in enumerate(self.faults):
            if times and re.fullmatch(pattern, line):
                self.faults[number] = (pattern, reply, times - 1)
                return reply
        return None

    def rewritten(self, line: str, raw: bytes, registry: Registry) -> bytes:
        """A deploy without what the plane would refuse, so that it has a service to answer with."""
        if line != "PUT /api/v2/services-v2/apply":
            return raw
        body = json.loads(raw)
        for application in body["ray_serve_config"]["applications"]:
            if env := application.get("runtime_env"):
                application["runtime_env"] = _without_remote(env)
        known = {"project_id": catalog.PROJECT.id, "build_id": catalog.BUILD.id}
        asked = self.computes.get(body["compute_config_id"], FAR)
        if asked["config"]["cloud_id"] == catalog.CLOUD.id:
            registry.computes.add(ComputeTemplateWire.model_validate(asked))
        else:
            known["compute_config_id"] = catalog.COMPUTE.id
        return json.dumps({**body, **known, "rollout_strategy": "ROLLOUT"}).encode()

    def own_path(self, path: str) -> str:
        return path.replace(OTHER_CLOUD["id"], catalog.CLOUD.id)


def _without_remote(env: dict[str, Any]) -> dict[str, Any]:
    remote = ("s3://", "gs://")
    here = {**env, "py_modules": [uri for uri in env.get("py_modules", ()) if not uri.startswith(remote)]}
    return {key: value for key, value in here.items() if not str(value).startswith(remote)}


def _page(results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"results": results, "metadata": {"total": len(results), "next_paging_token": None}}


def _wanted(request: ApiRequest) -> str:
    return str(request.body["name"]["equals"])


# ── clouds and projects ─────────────────────────────────────────────────────


@world.on("POST /api/v2/clouds/find_by_name")
def _cloud_by_name(_: World, request: ApiRequest) -> Any:
    return OTHER_CLOUD if request.body["name"] == OTHER_CLOUD["name"] else None


@world.on("GET /ext/v0/clouds/{cloud}")
def _cloud(_: World, __: ApiRequest, cloud: str) -> Any:
    return OTHER_CLOUD if cloud == OTHER_CLOUD["id"] else None


@world.on("POST /ext/v0/projects/search")
def _project_search(_: World, request: ApiRequest) -> Any:
    wanted = request.body["parent_cloud_id"]["equals"]
    return _page([{**APPS, "parent_cloud_id": wanted}]) if _wanted(request) == APPS["name"] else None


@world.on("GET /api/v2/projects/find_by_name")
def _project_by_name(_: World, request: ApiRequest) -> Any:
    return _page([APPS]) if request.get("name") == APPS["name"] else None


@world.on("GET /ext/v0/projects/default_project")
def _default_project(_: World, request: ApiRequest) -> Any:
    return OTHERS if request.get("parent_cloud_id") == OTHER_CLOUD["id"] else None


@world.on("GET /api/v2/projects/{project}")
def _project(_: World, __: ApiRequest, project: str) -> Any:
    return next((p for p in (APPS, OTHERS) if p["id"] == project), None)


# ── compute configs ─────────────────────────────────────────────────────────


@world.on("GET /ext/v0/cluster_computes/default")
def _default_compute(_: World, request: ApiRequest) -> Any:
    return FAR if request.get("cloud_id") == OTHER_CLOUD["id"] else None


@world.on("GET /ext/v0/cluster_computes/{compute}", "GET /api/v2/compute_templates/{compute}")
def _one_compute(world: World, _: ApiRequest, compute: str) -> Any:
    return world.computes.get(compute)


@world.on("POST /api/v2/compute_templates/search")
def _compute_search(world: World, request: ApiRequest) -> Any:
    version = request.body.get("version", -1)
    named = [c for c in world.computes.values() if c["name"] == _wanted(request)]
    found = [c for c in named if version in {-1, c["version"]}]
    return _page(sorted(found, key=lambda c: -c["version"])[:1]) if found else None


@world.on("POST /api/v2/compute_templates")
def _new_compute(world: World, request: ApiRequest) -> Any:
    cloud_id = request.body["config"]["cloud_id"]
    id = f"cpt_anonymous{len(world.computes):02}1111111111111111"
    world.computes[id] = _compute(id, id, cloud_id, anonymous=True)
    world.computes[id]["config"] |= request.body["config"]
    return world.computes[id]


# ── images ──────────────────────────────────────────────────────────────────


@world.on("GET /api/v2/workos/deployment_infra")
def _infra(_: World, __: ApiRequest) -> Any:
    return {"deployment_infra": "aws"}


@world.on("POST /api/v2/builds/get_or_create_build_from_image_uri")
def _build_from_image(_: World, __: ApiRequest) -> Any:
    return IMAGE_BUILD


@world.on("POST /ext/v0/cluster_environments/search")
def _environment_search(world: World, request: ApiRequest) -> Any:
    return _page([e for e in world.environments if e["name"] == _wanted(request)])


@world.on("POST /ext/v0/cluster_environments")
def _new_environment(world: World, request: ApiRequest) -> Any:
    world.environments.append({**IMAGES, "name": request.body["name"]})
    return world.environments[-1]


@world.on("GET /ext/v0/cluster_environments/{environment}")
def _environment(world: World, _: ApiRequest, environment: str) -> Any:
    return next((e for e in world.environments if e["id"] == environment), None)


@world.on("GET /ext/v0/cluster_environment_builds")
def _builds(world: World, _: ApiRequest) -> Any:
    return _page(world.builds)


@world.on("POST /ext/v0/cluster_environment_builds")
def _new_build(world: World, request: ApiRequest) -> Any:
    world.builds.append(_like(catalog.BUILD, status="succeeded", **{"id": CLOUD_BUILD, **request.body}))
    return {"id": "bop_1", "completed": False, "cluster_environment_build_id": CLOUD_BUILD}


@world.on("GET /ext/v0/cluster_environment_builds/{build}")
def _build(world: World, _: ApiRequest, build: str) -> Any:
    return next((b for b in [IMAGE_BUILD, *world.builds] if b["id"] == build), None)
