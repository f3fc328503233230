"""The models that users write and read. They are loaded when first used: building them takes time."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from anyservice_core.models.compute import (
        ComputeConfig,
        HeadNodeConfig,
        MarketType,
        MultiResourceComputeConfig,
        WorkerNodeGroupConfig,
    )
    from anyservice_core.models.config import RayGCSExternalStorageConfig, ServiceConfig, TracingConfig
    from anyservice_core.models.enums import ServiceSortField, ServiceState, ServiceVersionState, SortOrder
    from anyservice_core.models.iterator import AsyncResultIterator, ResultIterator
    from anyservice_core.models.preview import DeployAction, DeployPreview
    from anyservice_core.models.status import ServiceCheck, ServiceId, ServiceStatus, ServiceVersionStatus

__all__ = [
    "AsyncResultIterator",
    "ComputeConfig",
    "DeployAction",
    "DeployPreview",
    "HeadNodeConfig",
    "MarketType",
    "MultiResourceComputeConfig",
    "RayGCSExternalStorageConfig",
    "ResultIterator",
    "ServiceCheck",
    "ServiceConfig",
    "ServiceId",
    "ServiceSortField",
    "ServiceState",
    "ServiceStatus",
    "ServiceVersionState",
    "ServiceVersionStatus",
    "SortOrder",
    "TracingConfig",
    "WorkerNodeGroupConfig",
]

_ROOMS: Final = {
    "compute": (
        "ComputeConfig",
        "HeadNodeConfig",
        "MarketType",
        "MultiResourceComputeConfig",
        "WorkerNodeGroupConfig",
    ),
    "config": ("RayGCSExternalStorageConfig", "ServiceConfig", "TracingConfig"),
    "enums": ("ServiceSortField", "ServiceState", "ServiceVersionState", "SortOrder"),
    "iterator": ("AsyncResultIterator", "ResultIterator"),
    "preview": ("DeployAction", "DeployPreview"),
    "status": ("ServiceCheck", "ServiceId", "ServiceStatus", "ServiceVersionStatus"),
}


def __getattr__(name: str) -> Any:
    room = next((room for room, names in _ROOMS.items() if name in names), None)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
