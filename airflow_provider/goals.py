"""One look at what a wait is for, before a worker is given up for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anyservice_core import WaitFailedError

if TYPE_CHECKING:
    from anyservice_core import ServiceStatus

__all__ = ["judged"]


def judged(status: ServiceStatus, goal: Mapping[str, Any]) -> str | None:
    """Say what is missing to ``goal``, which holds arguments of ``Client.wait``; ``None`` when it is reached.

    Raises:
        WaitFailedError: waiting is no use.
    """
    from anyservice_core.operations.goals import Failed, Goal, Pending, judge

    wanted = Goal.of(**goal)
    verdict = judge(status, wanted)
    if isinstance(verdict, Failed):
        raise WaitFailedError(f"Service {status.name!r} will not reach {wanted}: {verdict.reason}.")
    return verdict.reason if isinstance(verdict, Pending) else None
