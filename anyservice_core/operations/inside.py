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
    """``config`` with what it leaves open and a workspace has: a name, and the working directory as its code."""
    if (yield from Inside()) is None:
        return config
    if not config.name:
        config = config.options(name=(yield from name()))
    return config if config.working_dir else config.options(applications=_with_code(config))


def _with_code(config: ServiceConfig) -> list[dict[str, Any]]:
    """Each application that brings no code of its own gets what lies here."""
    return [
        {**application, "runtime_env": {"working_dir": ".", **(application.get("runtime_env") or {})}}
        for application in config.applications
    ]
