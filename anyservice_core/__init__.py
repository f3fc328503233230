"""Progressive delivery for Ray Serve services: the public names.

They are loaded when first used, so that importing this package is cheap in a scheduler or a shell.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyservice_core import service
    from anyservice_core.client import AsyncClient, Client
    from anyservice_core.errors import (
        AnyserviceError,
        ApiError,
        AuthError,
        ConfigError,
        ConflictError,
        DecodeError,
        NotFoundError,
        PlaneError,
        PlanError,
        RejectedError,
        RolledBackError,
        RolloutError,
        RolloutPausedError,
        SupersededError,
        TransportError,
        UnavailableError,
        WaitError,
        WaitFailedError,
        WaitTimeoutError,
    )
    from anyservice_core.models import (
        AsyncResultIterator,
        DeployAction,
        DeployPreview,
        RayGCSExternalStorageConfig,
        ResultIterator,
        ServiceCheck,
        ServiceConfig,
        ServiceId,
        ServiceSortField,
        ServiceState,
        ServiceStatus,
        ServiceVersionState,
        ServiceVersionStatus,
        SortOrder,
        TracingConfig,
    )
    from anyservice_core.rollout import Backtest, Journal, RolloutPlan, RolloutReport

__all__ = [
    "AnyserviceError",
    "ApiError",
    "AsyncClient",
    "AsyncResultIterator",
    "AuthError",
    "Backtest",
    "Client",
    "ConfigError",
    "ConflictError",
    "DecodeError",
    "DeployAction",
    "DeployPreview",
    "Journal",
    "NotFoundError",
    "PlanError",
    "PlaneError",
    "RayGCSExternalStorageConfig",
    "RejectedError",
    "ResultIterator",
    "RolledBackError",
    "RolloutError",
    "RolloutPausedError",
    "RolloutPlan",
    "RolloutReport",
    "ServiceCheck",
    "ServiceConfig",
    "ServiceId",
    "ServiceSortField",
    "ServiceState",
    "ServiceStatus",
    "ServiceVersionState",
    "ServiceVersionStatus",
    "SortOrder",
    "SupersededError",
    "TracingConfig",
    "TransportError",
    "UnavailableError",
    "WaitError",
    "WaitFailedError",
    "WaitTimeoutError",
    "__version__",
    "service",
]


def _room_of(name: str) -> str:
    """The module that holds a public name."""
    if name in {"Client", "AsyncClient"}:
        return "anyservice_core.client"
    if name.endswith("Error"):
        return "anyservice_core.errors"
    if name in {"Backtest", "Journal", "RolloutPlan", "RolloutReport"}:
        return "anyservice_core.rollout"
    return "anyservice_core.models"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("anyservice_core.settings").VERSION
    if name == "service":
        return importlib.import_module("anyservice_core.service")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_room_of(name)), name)
    if name == "AsyncClient":
        value.load()  # an event loop shall not stand still while its first call loads what it takes
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
