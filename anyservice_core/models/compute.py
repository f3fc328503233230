"""The machines that a version runs on, written out: ``ComputeConfig`` and its parts.

A compute config that is registered goes by its name instead; these are for those who write theirs into the
service's own file.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from anyservice_core.models.checked import Checked

__all__ = [
    "CloudDeployment",
    "ComputeConfig",
    "HeadNodeConfig",
    "MarketType",
    "MultiResourceComputeConfig",
    "PhysicalResources",
    "WorkerNodeGroupConfig",
    "bytes_of",
]

Amount = Annotated[int | float, Field(ge=0)]
_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def bytes_of(memory: str | int) -> int:
    """An amount of memory in bytes; ``8Gi`` and ``500M`` are read as Kubernetes does."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]{0,2})", str(memory).strip())
    unit = _UNITS.get(match[2]) if match else None
    if match is None or unit is None:
        raise ValueError(f"{memory!r} is not an amount of memory such as 8Gi")
    return int(Decimal(match[1]) * unit)


def _memory(memory: str | int | None) -> str | int | None:
    if memory is not None:
        bytes_of(memory)
    return memory


class MarketType(StrEnum):
    """Whether machines may be taken away again, for their price."""

    ON_DEMAND = "ON_DEMAND"
    SPOT = "SPOT"
    PREFER_SPOT = "PREFER_SPOT"


def _in_any_case(market: Any) -> Any:
    return market.upper() if isinstance(market, str) else market


class CloudDeployment(Checked):
    """Which of a cloud's deployments a group of nodes is for."""

    provider: str | None = None
    region: str | None = None
    machine_pool: str | None = None
    id: str | None = None


class PhysicalResources(Checked):
    """What a machine must have, where its type does not matter. ``memory`` in bytes, or as ``8Gi``."""

    CPU: Annotated[int, Field(ge=0)] | None = None
    memory: Annotated[str | int | None, AfterValidator(_memory)] = None
    GPU: Annotated[int, Field(ge=0)] | None = None
    accelerator: str | None = None
    TPU: Annotated[int, Field(ge=0)] | None = None
    tpu_hosts: Annotated[int, Field(ge=0)] | None = None
    cpu_architecture: str | None = None


class _Node(Checked):
    instance_type: str | None = None
    resources: dict[str, Amount] | None = None
    required_resources: PhysicalResources | None = None
    labels: dict[str, str] | None = None
    required_labels: dict[str, str] | None = None
    advanced_instance_config: dict[str, Any] | None = None
    flags: dict[str, Any] | None = None
    cloud_deployment: CloudDeployment | None = None

    def _problem(self) -> str | None:
        if self.instance_type is None and self.required_resources is None:
            return "instance_type: missing; or say required_resources"
        if self.instance_type not in {None, "custom"} and self.required_resources is not None:
            return "instance_type and required_resources exclude each other; keep one"
        return None

    @property
    def machine(self) -> str:
        """The type of machine, as the API calls it."""
        return self.instance_type or "custom"


class HeadNodeConfig(_Node):
    """The node that holds a cluster together. ``resources`` are what Ray may use of it."""


class WorkerNodeGroupConfig(_Node):
    """Nodes of one kind, from ``min_nodes`` to ``max_nodes`` of them."""

    name: Annotated[str, Field(min_length=1)] | None = None
    min_nodes: Annotated[int, Field(ge=0)] = 0
    max_nodes: Annotated[int, Field(ge=1)] = 10
    market_type: Annotated[MarketType, BeforeValidator(_in_any_case)] = MarketType.ON_DEMAND

    def _problem(self) -> str | None:
        if self.max_nodes < self.min_nodes:
            return f"max_nodes: {self.max_nodes} is less than min_nodes, {self.min_nodes}"
        return super()._problem()

    @property
    def called(self) -> str:
        """Its name, by default what it is made of."""
        return self.name or (self.machine if self.required_resources is None else _shape(self))


def _shape(group: WorkerNodeGroupConfig) -> str:
    """The API's own name for nodes that are described by what they have."""
    has = group.required_resources or PhysicalResources()
    label = "ray.io/accelerator-type"
    kind = has.accelerator or (group.required_labels or {}).get(label) or (group.labels or {}).get(label)
    parts = [f"FP-{has.CPU or 0}CPU-{bytes_of(has.memory or 0) // 2**30}GB"]
    if has.TPU:
        parts += [f"{has.TPU}TPU", f"{has.tpu_hosts}TPUHost" if has.tpu_hosts else "", kind or ""]
    elif has.GPU:
        parts += [f"{has.GPU}GPU", kind or ""]
    parts.append("ARM64" if (has.cpu_architecture or "").lower() == "arm64" else "")
    return "-".join(part for part in parts if part)


class ComputeConfig(Checked):
    """A cluster on one resource of a cloud.

    Without ``head_node`` it is the cloud's default. Without ``worker_nodes`` the head does all the work, with
    some it does none. ``flags`` are passed on as they are.
    """

    cloud: str | None = None
    cloud_resource: str | None = None
    head_node: HeadNodeConfig | None = None
    worker_nodes: list[WorkerNodeGroupConfig] | None = None
    min_resources: dict[str, Amount] | None = None
    max_resources: dict[str, Amount] | None = None
    zones: Annotated[list[str], Field(min_length=1)] | None = None
    enable_cross_zone_scaling: bool = False
    advanced_instance_config: dict[str, Any] | None = None
    flags: dict[str, Any] | None = None
    auto_select_worker_config: bool = False


class MultiResourceComputeConfig(Checked):
    """A cluster that may be on any of several resources of a cloud: one config each. ``flags`` hold for all."""

    cloud: str | None = None
    configs: Annotated[list[ComputeConfig], Field(min_length=1)]
    flags: dict[str, Any] | None = None

    def _problem(self) -> str | None:
        others = {config.cloud for config in self.configs if config.cloud and config.cloud != self.cloud}
        return f"configs: are of one cloud, not also of {min(others)!r}" if others and self.cloud else None
