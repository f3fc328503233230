"""What a task leaves in XCom of a service: plain JSON, short, without a token or a config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyservice_core import ServiceStatus

__all__ = ["summary"]

_VERSION = {"id", "name", "state", "weight"}


def summary(status: ServiceStatus) -> dict[str, Any]:
    """Name, state and address of a service, and its two versions with their weights."""
    return status.model_dump(
        mode="json",
        include={
            "id": True,
            "name": True,
            "state": True,
            "query_url": True,
            "primary_version": _VERSION,
            "canary_version": _VERSION,
        },
    )
