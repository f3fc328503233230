"""Inside one of the platform's workspaces, its own name, cloud, project, image and machines are the defaults."""

from __future__ import annotations

from anyservice_core.effects import Inside, Op, Request
from anyservice_core.errors import NotFoundError
from anyservice_core.models.wire import ClusterWire, WorkspaceWire
from anyservice_core.operations.sending import send

__all__ = ["cluster", "name", "workspace"]

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
