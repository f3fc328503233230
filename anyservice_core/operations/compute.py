"""From a compute config (none, a name, or written out) to the id that a deploy needs, and its cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anyservice_core.effects import Op, Request
from anyservice_core.errors import ConfigError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.wire import ComputeConfigWire, ComputeTemplateWire
from anyservice_core.operations import directory
from anyservice_core.operations.sending import send, send_page

__all__ = ["Compute", "resolve"]

_MARKETS: Mapping[str, tuple[bool, bool]] = {
    "ON_DEMAND": (False, False),
    "SPOT": (True, False),
    "PREFER_SPOT": (True, True),
}


@dataclass(frozen=True, slots=True)
class Compute:
    """Ids of a compute config and of the cloud that it belongs to."""

    id: str
    cloud_id: str


def resolve(config: ServiceConfig) -> Op[Compute]:
    """The compute config that ``config`` means."""
    wanted = config.compute_config
    if isinstance(wanted, str):
        return (yield from _named(wanted, config.cloud))
    cloud = config.cloud or (wanted.get("cloud") if wanted else None)
    cloud_id = yield from directory.cloud_id(cloud)
    default = yield from _default(cloud_id)
    if wanted is None:
        return Compute(default.id, cloud_id)
    created = yield from _created(wanted, cloud_id, default)
    return Compute(created.id, cloud_id)


def _default(cloud_id: str) -> Op[ComputeConfigWire]:
    request = Request("GET", "/ext/v0/cluster_computes/default", params={"cloud_id": cloud_id})
    return (yield from send(request, ComputeConfigWire))


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
    request = Request("POST", "/api/v2/compute_templates/search", json=search)
    found = (yield from send_page(request, ComputeTemplateWire)).results
    if not found:
        raise ConfigError(f"compute_config: none is called {name!r}.", hint="Leave it out for the default.")
    return Compute(found[0].id, found[0].config.cloud_id)


def _split(name: str) -> tuple[str, int]:
    """``name:3`` is version 3 of it; without a number the latest, which the API calls -1."""
    base, colon, version = name.rpartition(":")
    if not colon:
        return name, -1
    if not version.isdecimal():
        raise ConfigError(f"compute_config: {name!r} is not of the form 'name' or 'name:version'.")
    return base, int(version)


def _created(spec: Mapping[str, Any], cloud_id: str, default: ComputeConfigWire) -> Op[ComputeTemplateWire]:
    body = {"config": template(spec, cloud_id, default), "anonymous": True, "new_version": True}
    return (yield from send(Request("POST", "/api/v2/compute_templates/", json=body), ComputeTemplateWire))


def template(spec: Mapping[str, Any], cloud_id: str, default: ComputeConfigWire) -> dict[str, Any]:
    """A compute config written out by a user, as the API wants it."""
    _refuse_unknown(spec)
    workers = [_worker(node) for node in spec.get("worker_nodes") or ()]
    deployment = {
        "head_node_type": _head(spec.get("head_node"), default, has_workers=bool(workers)),
        "worker_node_types": workers,
        "auto_select_worker_config": spec.get("worker_nodes") is None,
        "flags": {
            "allow-cross-zone-autoscaling": bool(spec.get("enable_cross_zone_scaling")),
            **(spec.get("flags") or {}),
        },
    }
    return {"cloud_id": cloud_id, "deployment_configs": [deployment], **deployment}


def _refuse_unknown(spec: Mapping[str, Any]) -> None:
    known = {"cloud", "head_node", "worker_nodes", "enable_cross_zone_scaling", "flags"}
    if unknown := sorted(set(spec) - known):
        raise ConfigError(
            f"compute_config.{unknown[0]}: not known to an inline compute config.",
            hint=f"Known are {', '.join(sorted(known))}; for anything else register it and give its name.",
        )


def _head(node: Mapping[str, Any] | None, default: ComputeConfigWire, *, has_workers: bool) -> dict[str, Any]:
    instance = node["instance_type"] if node else default.config.head_node_type.instance_type
    head = {"name": "head-node", "instance_type": instance}
    # A head that has workers beside it takes no work of its own.
    return {**head, "resources": {"cpu": 0, "gpu": 0}} if has_workers else head


def _worker(node: Mapping[str, Any]) -> dict[str, Any]:
    spot, fallback = _MARKETS[str(node.get("market_type", "ON_DEMAND")).upper()]
    return {
        "name": node.get("name") or node["instance_type"],
        "instance_type": node["instance_type"],
        "min_workers": node.get("min_nodes", 0),
        "max_workers": node.get("max_nodes", 10),
        "use_spot": spot,
        "fallback_to_ondemand": fallback,
    }
