"""The models that users write and read."""

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
from anyservice_core.models.status import ServiceId, ServiceStatus, ServiceVersionStatus

__all__ = [
    "AsyncResultIterator",
    "ComputeConfig",
    "HeadNodeConfig",
    "MarketType",
    "MultiResourceComputeConfig",
    "RayGCSExternalStorageConfig",
    "ResultIterator",
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
