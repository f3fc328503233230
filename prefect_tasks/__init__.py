"""Progressive delivery for Ray Serve services as Prefect blocks, tasks and a flow.

from prefect_tasks import progressive_deploy

progressive_deploy("service.yaml", "rollout.yaml")
"""

from __future__ import annotations

from prefect_tasks import aio
from prefect_tasks.blocks import AnyserviceCredentials
from prefect_tasks.flows import progressive_deploy
from prefect_tasks.gates import order
from prefect_tasks.jobs import ServiceRollout
from prefect_tasks.tasks import (
    archive,
    delete,
    deploy,
    list,  # noqa: A004
    rollback,
    rollout,
    status,
    terminate,
    wait,
)

__all__ = [
    "AnyserviceCredentials",
    "ServiceRollout",
    "aio",
    "archive",
    "delete",
    "deploy",
    "list",
    "order",
    "progressive_deploy",
    "rollback",
    "rollout",
    "status",
    "terminate",
    "wait",
]
