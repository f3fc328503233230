"""From a compute config (none, a name, or written out) to the id that a deploy needs, and its cloud.

One that is written out has to be registered, which leaves something behind on the server. So it is compared first
with those that the service's own versions run on, and registered only if it differs from each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anyservice_core.effects import Op, Request
from anyservice_core.errors import ConfigError, NotFoundError
from anyservice_core.models.compute import ComputeConfig, MultiResourceComputeConfig
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.machines import deployment, is_same, template
from anyservice_core.models.wire import (
    CloudResourceWire,
    ComputeConfigWire,
    ComputeSpec,
    ComputeTemplateWire,
    DeploymentSpec,
)
from anyservice_core.operations import directory, inside
from anyservice_core.operations.sending import send, send_page

__all__ = ["TEMPLATES", "Compute", "Wanted", "cloud_of", "find", "register", "resolve", "reuse", "stored"]

TEMPLATES = "/api/v2/compute_templates/"


@dataclass(frozen=True, slots=True)
class Compute:
    """Ids of a compute config and of the cloud that it belongs to."""

    id: str
    cloud_id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A compute config that is to be registered in a cloud."""

    cloud_id: str
    spec: dict[str, Any]


def resolve(config: ServiceConfig, live: Sequence[str] = ()) -> Op[Compute]:
    """The compute config that ``config`` means.

    ``live`` are the ids of those in use: one that is written out and equal to one of them is not registered again.
    """
    found = yield from find(config, live)
    return (yield from register(found)) if isinstance(found, Wanted) else found


def find(config: ServiceConfig, live: Sequence[str] = ()) -> Op[Compute | Wanted]:
    """The same without leaving anything behind: where none fits, what there is to register."""
    wanted = config.compute_config
    if isinstance(wanted, str):
        return (yield from _named(wanted, config.cloud))
    if wanted is not None:
        return (yield from reuse((yield from _written_out(wanted, config.cloud)), live))
    if config.cloud is None and (ours := (yield from _workspace_s())):
        return (yield from reuse(ours, live))
    cloud_id = yield from directory.cloud_id(config.cloud)
    return Compute((yield from _default(cloud_id)).id, cloud_id)


def reuse(found: Compute | Wanted, live: Sequence[str]) -> Op[Compute | Wanted]:
    """One of ``live`` instead of what is to be registered, if it says the same."""
    if isinstance(found, Wanted):
        spec = ComputeSpec.model_validate(found.spec)
        for id in dict.fromkeys(live):
            if (yield from _says(id, spec)):
                return Compute(id, found.cloud_id)
    return found


def _says(id: str, spec: ComputeSpec) -> Op[bool]:
    try:
        return is_same((yield from stored(id)).config, spec)
    except NotFoundError:
        return False


def register(wanted: Wanted) -> Op[Compute]:
    """Create a compute config without a name."""
    body = {"config": wanted.spec, "anonymous": True, "new_version": True}
    made = yield from send(Request("POST", TEMPLATES, json=body), ComputeTemplateWire)
    return Compute(made.id, wanted.cloud_id)


def cloud_of(config: ServiceConfig) -> Op[str]:
    """The cloud that ``config`` is for."""
    wanted = config.compute_config
    if isinstance(wanted, str):
        return (yield from _named(wanted, config.cloud)).cloud_id
    return (yield from directory.cloud_id(config.cloud or (wanted.cloud if wanted else None)))


def stored(id: str) -> Op[ComputeTemplateWire]:
    """A compute config by its id. None ever changes: what is edited becomes another version."""
    return (yield from send(Request("GET", f"{TEMPLATES}{id}", lasting=True), ComputeTemplateWire))


def _default(cloud_id: str, resource_id: str | None = None) -> Op[ComputeConfigWire]:
    params = {"cloud_id": cloud_id, "cloud_resource_id": resource_id}
    given = {name: value for name, value in params.items() if value is not None}
    request = Request("GET", "/ext/v0/cluster_computes/default", params=given)
    return (yield from send(request, ComputeConfigWire))


# ── by name ─────────────────────────────────────────────────────────────────


def _named(name: str, cloud: str | None) -> Op[Compute]:
    wanted, version = _split(name)
    search: dict[str, Any] = {
        "orgwide": True,
        "name": {"equals": wanted},
        "include_anonymous": True,
        "archive_status": "NOT_ARCHIVED",
        "version": version,
    }
    if cloud is not None:
        search["cloud_id"] = yield from directory.cloud_id(cloud)
    request = Request("POST", f"{TEMPLATES}search", json=search)
    found = (yield from send_page(request, ComputeTemplateWire)).results
    if not found:
        raise ConfigError(f"compute_config: none is called {name!r}.", hint="Leave it out for the default.")
    if cloud is not None and found[0].config.cloud_id != search["cloud_id"]:
        raise _elsewhere(name, cloud)
    return Compute(found[0].id, found[0].config.cloud_id)


def _elsewhere(compute_config: str, cloud: str) -> ConfigError:
    return ConfigError(
        f"compute_config: {compute_config!r} is not in cloud {cloud!r}.",
        hint="Give one of the two, or make them fit.",
    )


def _split(name: str) -> tuple[str, int]:
    """``name:3`` is version 3 of it; without a number the latest, which the API calls -1."""
    base, colon, version = name.rpartition(":")
    if not colon:
        return name, -1
    if not version.isdecimal():
        raise ConfigError(f"compute_config: {name!r} is not of the form 'name' or 'name:version'.")
    return base, int(version)


# ── written out ─────────────────────────────────────────────────────────────


def _written_out(wanted: ComputeConfig | MultiResourceComputeConfig, cloud: str | None) -> Op[Wanted]:
    cloud_id = yield from directory.cloud_id(cloud or wanted.cloud)
    if (
        cloud
        and wanted.cloud
        and cloud != wanted.cloud
        and (yield from directory.cloud_id(wanted.cloud)) != cloud_id
    ):
        raise _elsewhere(f"cloud: {wanted.cloud}", cloud)
    deployments = []
    for part, flags in _parts(wanted):
        default = None if part.head_node else (yield from _usual(cloud_id, part.cloud_resource))
        deployments.append(deployment(part, default, flags))
    return Wanted(cloud_id, template(cloud_id, deployments))


def _parts(
    wanted: ComputeConfig | MultiResourceComputeConfig,
) -> list[tuple[ComputeConfig, dict[str, Any] | None]]:
    if isinstance(wanted, ComputeConfig):
        return [(wanted, None)]
    return [(part, wanted.flags) for part in wanted.configs]


def _usual(cloud_id: str, resource: str | None) -> Op[DeploymentSpec]:
    """What a cluster is made of in this cloud, and in this part of it."""
    known = (yield from _resource(cloud_id, resource)) if resource else None
    return (yield from _default(cloud_id, known)).config


def _resource(cloud_id: str, name: str) -> Op[str | None]:
    path = f"/api/v2/clouds/{cloud_id}/find_cloud_resource_by_name"
    request = Request("POST", path, params={"cloud_resource_name": name}, lasting=True)
    try:
        return (yield from send(request, CloudResourceWire)).cloud_resource_id
    except NotFoundError:
        raise ConfigError(f"compute_config.cloud_resource: the cloud has none called {name!r}.") from None


# ── inside a workspace ──────────────────────────────────────────────────────


def _workspace_s() -> Op[Compute | Wanted | None]:
    """What the workspace runs on; one that picks its own workers is not for services, so the cloud's is taken then."""
    ours = yield from inside.cluster()
    if ours is None or not ours.cluster_compute_id:
        return None
    config = (yield from stored(ours.cluster_compute_id)).config
    if not config.auto_select_worker_config:
        return Compute(ours.cluster_compute_id, config.cloud_id)
    usual = (yield from _default(config.cloud_id)).config
    head = usual.head_node_type
    idle = head.model_copy(update={"resources": {**(head.resources or {}), "CPU": 0}})
    changes = {"head_node_type": idle, "auto_select_worker_config": True, "flags": config.flags}
    return Wanted(
        config.cloud_id, usual.model_copy(update=changes).model_dump(mode="json", exclude_none=True)
    )
