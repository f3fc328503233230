"""What becomes of a canary when its task is killed: nothing, unless ``on_kill="rollback"`` was asked for.

Airflow calls ``on_kill`` of a deferred task alike for *mark failed*, *mark success* and *clear*, but only
the first means "take it back". So the task's state is looked up, and anything but "failed" leaves the
service alone: undoing what a person has just accepted would be the worse mistake.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from asgiref.sync import sync_to_async

from airflow_provider.compat import KILLS, has, task_state

if TYPE_CHECKING:
    from anyservice_core.effects import Op

__all__ = ["LEFT", "MINE", "OnKill", "marked_failed", "say_what_holds", "take_back"]

OnKill: TypeAlias = Literal["leave", "rollback"]
MINE = "mine"  # the XCom that says which canary a time-out may take back
LEFT = (
    "The wait was ended from outside, by an answer, a mark, a clear or a kill: the service is left as it is. "
    "If the task was killed, run it again to go on from there."
)
_log = logging.getLogger("airflow_provider")


def take_back(version: str, **where: Any) -> Op[None]:
    """Roll back if the canary is still ``version``; ``where`` names the service. What was done is reported."""
    from anyservice_core.effects import Report
    from anyservice_core.operations import services

    yield from Report(f"the task was killed: {(yield from services.take_back(version=version, **where))}")


async def marked_failed(ti: Any) -> bool:
    """Whether the task of a trigger was marked failed, as opposed to success or cleared."""
    try:
        return await sync_to_async(task_state)(ti) == "failed"
    except Exception:  # noqa: BLE001  # the look-up is not a public part of Airflow: when it fails, leave the service alone
        _log.warning("The task's state could not be looked up; the service is left as it is.", exc_info=True)
        return False


def say_what_holds(on_kill: OnKill) -> None:
    """Say, before a task is deferred, where its choice would not be heard of."""
    if on_kill == "rollback":
        has(KILLS)
