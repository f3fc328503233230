"""Inside one of the platform's workspaces, its own name, cloud, project, image and machines are the defaults."""

from __future__ import annotations

from typing import Any

from anyservice_core.effects import Inside, Op, Request
from anyservice_core.errors import NotFoundError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.wire import ClusterWire, WorkspaceWire
from anyservice_core.operations.sending import send

__all__ = ["cluster", "completed", "name", "workspace"]

_PREFIX = "workspace-cluster-"


def workspace() -> Op[WorkspaceWire | None]:
    """The workspace, if we are inside one that is still known."""
    here = yield from Inside()
    if here is None:
        return None
    request = Request("GET", f"/api/v2/experimental_workspaces/{here.id}", lasting=True)
    try:
        return (yield from send(request, WorkspaceWire))
    except NotFoundError:
        return None


def cluster() -> Op[ClusterWire | None]:
    """The cluster that the workspace runs on, if we are inside one."""
    here = yield from Inside()
    known = here and (here.cluster_id or getattr((yield from workspace()), "cluster_id", None))
    if not known:
        return None
    return (yield from send(Request("GET", f"/ext/v0/clusters/{known}", lasting=True), ClusterWire))


def name() -> Op[str | None]:
    """What a service is called that is not given a name: as the workspace."""
    found = yield from workspace()
    if found and found.name:
        return found.name
    ours = yield from cluster()
    return ours.name.removeprefix(_PREFIX) or None if ours else None


def completed(config: ServiceConfig) -> Op[ServiceConfig]:
    """``config`` with what it leaves open and a workspace has: a name, its code, and what was installed in it."""
    here = yield from Inside()
    if here is None:
        return config
    if not config.name:
        config = config.options(name=(yield from name()))
    lent = {
        **({"working_dir": "."} if not config.working_dir else {}),
        **({"pip": here.requirements} if here.requirements and config.requirements is None else {}),
    }
    return config.options(applications=_with(lent, config)) if lent else config


def _with(lent: dict[str, Any], config: ServiceConfig) -> list[dict[str, Any]]:
    """Each application gets what it does not bring itself."""
    return [
        {**application, "runtime_env": {**lent, **(application.get("runtime_env") or {})}}
        for application in config.applications
    ]
