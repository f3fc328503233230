"""What things of a service are called, where several rooms must agree. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from anyservice_core import AnyserviceError, RolloutPlan, ServiceConfig
from prefect_tasks.reporting import slug

__all__ = ["Config", "Plan", "checked", "journal_key", "lock_name", "resource_id", "service_name"]

Config: TypeAlias = ServiceConfig | Mapping[str, Any] | str | Path
Plan: TypeAlias = RolloutPlan | Mapping[str, Any] | str | Path


def service_name(config: object) -> str:
    """The name in a config of any form, for people: one that cannot be read shows as itself."""
    try:
        return ServiceConfig.parse(cast("Config", config)).name or "service"
    except (AnyserviceError, OSError):
        return str(config) if isinstance(config, str | Path) else "service"


def checked(config: Config, plan: Plan) -> str:
    """The name of the service to roll out. Raises ``ConfigError`` for what cannot be rolled out, before Prefect keeps a slot for it."""
    RolloutPlan.parse(plan)
    return ServiceConfig.parse(config).name or "service"


def journal_key(service: str, console: str) -> str:
    """A key for each service on each control plane: what failed in staging says nothing of production."""
    return f"rollout-{slug(service)}-journal-{_place(console)}"


def lock_name(service: str, console: str) -> str:
    """The concurrency limit of a service; ``console`` is the control plane's host."""
    return f"anyservice-rollout-{slug(service)}-{_place(console)}"


def resource_id(service: str) -> str:
    """The id that events are about, to match in automations."""
    return f"anyservice.service.{slug(service)}"


def _place(console: str) -> str:
    return hashlib.sha256(console.encode()).hexdigest()[:8]
