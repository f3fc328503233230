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
        RayGCSExternalStorageConfig,
        ResultIterator,
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

__all__ = [
    "AnyserviceError",
    "ApiError",
    "AsyncClient",
    "AsyncResultIterator",
    "AuthError",
    "Client",
    "ConfigError",
    "ConflictError",
    "DecodeError",
    "NotFoundError",
    "PlanError",
    "PlaneError",
    "RayGCSExternalStorageConfig",
    "RejectedError",
    "ResultIterator",
    "RolledBackError",
    "RolloutError",
    "RolloutPausedError",
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


def _room_of(name: str) -> str | None:
    """The module that holds a public name."""
    if name in {"Client", "AsyncClient"}:
        return "anyservice_core.client"
    if name.endswith("Error"):
        return "anyservice_core.errors"
    return "anyservice_core.models" if name in __all__ else None


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("anyservice")
    if name == "service":
        return importlib.import_module("anyservice_core.service")
    if name not in __all__ or (room := _room_of(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
