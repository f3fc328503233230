"""Between a compute config as users write it and as the API has it. Pure, both ways.

What a user leaves out stays out on the wire, and the API gives back more than it was given: zones of ``any``, zeros
for a head that shall not work. ``is_same`` looks through that, so that a config written out in a service's file is
registered once, not at every deploy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from anyservice_core.models.compute import (
    CloudDeployment,
    ComputeConfig,
    HeadNodeConfig,
    MarketType,
    MultiResourceComputeConfig,
    PhysicalResources,
    WorkerNodeGroupConfig,
    bytes_of,
)
from anyservice_core.models.wire import ComputeSpec, ComputeTemplateWire, DeploymentSpec, NodeType, WorkerType

__all__ = ["deployment", "is_same", "resources_of", "shown", "template"]

_NO_WORK: Final = {"cpu": 0, "gpu": 0}
_CROSS_ZONE: Final = "allow-cross-zone-autoscaling"
_RESOURCES: Final = {
    "CPU": "cpu",
    "GPU": "gpu",
    "memory": "memory",
    "object_store_memory": "object_store_memory",
    "system_reserved_cpu_millicpu": "system_reserved_cpu_millicpu",
    "system_reserved_memory_bytes": "system_reserved_memory_bytes",
}
_PHYSICAL: Final = {"CPU": "cpu", "GPU": "gpu", "TPU": "tpu", "tpu_hosts": "anyscale_tpu_hosts"}


# ── out ─────────────────────────────────────────────────────────────────────


def template(cloud_id: str, deployments: list[DeploymentSpec]) -> dict[str, Any]:
    """The ``config`` that registers a compute config; the first deployment is said twice, for older servers."""
    first = deployments[0].model_dump(exclude={"cloud_deployment"})
    return ComputeSpec(cloud_id=cloud_id, deployment_configs=deployments, **first).model_dump(
        mode="json", exclude_none=True
    )


def deployment(
    config: ComputeConfig, default: DeploymentSpec | None, flags: Mapping[str, Any] | None = None
) -> DeploymentSpec:
    """One resource's part; ``default`` is what the head is made of where the user does not say."""
    works = not config.worker_nodes and not config.auto_select_worker_config
    return DeploymentSpec(
        cloud_deployment=config.cloud_resource,
        allowed_azs=config.zones,
        head_node_type=_head(config.head_node, default, works=works),
        worker_node_types=None
        if config.worker_nodes is None
        else [_worker(group) for group in config.worker_nodes],
        auto_select_worker_config=config.auto_select_worker_config,
        flags={**(flags or {}), **_flags(config)},
        advanced_configurations_json=config.advanced_instance_config or None,
    )


def _flags(config: ComputeConfig) -> dict[str, Any]:
    limits = {"min_resources": config.min_resources, "max_resources": config.max_resources}
    given = {name: limit for name, limit in limits.items() if limit}
    return {**(config.flags or {}), _CROSS_ZONE: config.enable_cross_zone_scaling, **given}


def _head(node: HeadNodeConfig | None, default: DeploymentSpec | None, *, works: bool) -> NodeType:
    resources = None if works else dict(_NO_WORK)
    if node is None:
        usual = default or DeploymentSpec()
        kind = usual.head_node_type.instance_type
        return NodeType(name="head-node", instance_type=kind, resources=resources, flags=usual.flags)
    own = _node(node)
    return NodeType(name="head-node", **{**own, "resources": own["resources"] or resources})


def _worker(group: WorkerNodeGroupConfig) -> WorkerType:
    return WorkerType(
        name=group.called,
        min_workers=group.min_nodes,
        max_workers=group.max_nodes,
        use_spot=group.market_type in {MarketType.SPOT, MarketType.PREFER_SPOT},
        fallback_to_ondemand=group.market_type is MarketType.PREFER_SPOT,
        **_node(group),
    )


def _node(node: HeadNodeConfig | WorkerNodeGroupConfig) -> dict[str, Any]:
    where = {"cloud_deployment": node.cloud_deployment.to_dict()} if node.cloud_deployment else {}
    return {
        "instance_type": node.machine,
        "resources": None if node.resources is None else _to_api(node.resources),
        "required_resources": node.required_resources and _physical(node.required_resources),
        "labels": node.labels,
        "required_labels": node.required_labels,
        "flags": {**(node.flags or {}), **where} or None,
        "advanced_configurations_json": node.advanced_instance_config or None,
    }


def _to_api(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Ray's resources: those that the API knows by name, and all others beside them."""
    known = {_RESOURCES[name]: amount for name, amount in resources.items() if name in _RESOURCES}
    custom = {name: amount for name, amount in resources.items() if name not in _RESOURCES}
    return {**known, "custom_resources": custom} if custom else known


def _physical(has: PhysicalResources) -> dict[str, Any]:
    said = {_PHYSICAL.get(name, name): value for name, value in has.to_dict().items()}
    return {**said, "memory": bytes_of(said["memory"])} if "memory" in said else said


# ── back ────────────────────────────────────────────────────────────────────


def shown(found: ComputeTemplateWire) -> str | ComputeConfig | MultiResourceComputeConfig:
    """A compute config as its user would write it: by name and version, or written out if it has none."""
    if not found.anonymous:
        return f"{found.name}:{found.version}"
    cloud = found.config.cloud.name if found.config.cloud else None
    configs = [_config(part, cloud) for part in resources_of(found.config)]
    if len(configs) == 1:
        return configs[0]
    return MultiResourceComputeConfig.model_construct(cloud=cloud, configs=configs)


def resources_of(spec: ComputeSpec) -> list[DeploymentSpec]:
    """Its parts, one for each resource of the cloud."""
    return [*spec.deployment_configs] if spec.deployment_configs else [spec]


def _config(part: DeploymentSpec, cloud: str | None) -> ComputeConfig:
    """Built without checks: what another client has registered must be readable here."""
    flags = dict(part.flags or {})
    crosses = bool(flags.pop(_CROSS_ZONE, False))
    limits = {name: limit for name in ("min_resources", "max_resources") if (limit := flags.pop(name, None))}
    workers = (
        None if part.auto_select_worker_config else [_group(kind) for kind in part.worker_node_types or ()]
    )
    return ComputeConfig.model_construct(
        cloud=cloud,
        cloud_resource=part.cloud_deployment,
        head_node=HeadNodeConfig.model_construct(**_shown_head(part)),
        worker_nodes=workers,
        zones=_zones(part),
        enable_cross_zone_scaling=crosses,
        advanced_instance_config=part.advanced_configurations_json or None,
        flags=flags or None,
        auto_select_worker_config=part.auto_select_worker_config,
        **limits,
    )


def _zones(part: DeploymentSpec) -> list[str] | None:
    return None if part.allowed_azs in (["any"], []) else part.allowed_azs


def _group(kind: WorkerType) -> WorkerNodeGroupConfig:
    spot = MarketType.PREFER_SPOT if kind.fallback_to_ondemand else MarketType.SPOT
    return WorkerNodeGroupConfig.model_construct(
        name=kind.name,
        min_nodes=kind.min_workers or 0,
        max_nodes=10 if kind.max_workers is None else kind.max_workers,
        market_type=spot if kind.use_spot else MarketType.ON_DEMAND,
        **_shown_node(kind),
    )


def _shown_head(part: DeploymentSpec) -> dict[str, Any]:
    """The zeros that keep work off a head are nobody's words; a worker's are somebody's."""
    shown = _shown_node(part.head_node_type)
    return shown if _works(part) else {**shown, "resources": None}


def _shown_node(kind: NodeType) -> dict[str, Any]:
    flags = dict(kind.flags or {})
    where = flags.pop("cloud_deployment", None)
    return {
        "instance_type": None if kind.required_resources else kind.instance_type,
        "resources": _from_api(kind.resources),
        "required_resources": _shown_physical(kind.required_resources),
        "labels": kind.labels,
        "required_labels": kind.required_labels,
        "advanced_instance_config": kind.advanced_configurations_json or None,
        "flags": flags or None,
        "cloud_deployment": CloudDeployment.model_construct(**where) if isinstance(where, dict) else None,
    }


def _from_api(resources: Mapping[str, Any] | None) -> dict[str, Any] | None:
    said = {name: amount for name, amount in (resources or {}).items() if amount is not None}
    if resources is None:
        return None
    custom = said.pop("custom_resources", None)
    names = {api: name for name, api in _RESOURCES.items()}
    return {names.get(api, api): amount for api, amount in said.items()} | (custom or {})


def _shown_physical(has: Mapping[str, Any] | None) -> PhysicalResources | None:
    names = {api: name for name, api in _PHYSICAL.items()}
    known = {names.get(api, api): value for api, value in (has or {}).items() if value is not None}
    fields = {name: value for name, value in known.items() if name in PhysicalResources.model_fields}
    return PhysicalResources.model_construct(**fields) if has else None


# ── the same? ───────────────────────────────────────────────────────────────


def is_same(one: ComputeSpec, other: ComputeSpec) -> bool:
    """Whether two compute configs ask for the same machines in the same cloud."""
    return one.cloud_id == other.cloud_id and _normal(one) == _normal(other)


def _normal(spec: ComputeSpec) -> list[tuple[dict[str, Any], bool]]:
    return [
        (_config(part, None).model_dump(mode="json", warnings=False), _works(part))
        for part in resources_of(spec)
    ]


def _works(part: DeploymentSpec) -> bool:
    said = {
        name: amount for name, amount in (part.head_node_type.resources or {}).items() if amount is not None
    }
    return said != _NO_WORK
