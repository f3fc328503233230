"""Gates without a process: the flow run is *Suspended*, and begins anew with the answer, or when its time has come.

A gate that ends by itself, a timeout or a window, needs someone to wake the run: another run of the same deployment,
scheduled for that moment, which does nothing else (an *alarm*). What happens then is the plan's to say.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn
from uuid import UUID

from prefect import runtime, suspend_flow_run
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled

from prefect_tasks.forms import NEITHER, Answer
from prefect_tasks.held import HeldError
from prefect_tasks.line import line

__all__ = ["rang", "suspend"]

_ALARM: Final = "anyservice-alarm:"
_LATE = timedelta(seconds=1)


def suspend(held: HeldError) -> NoReturn:
    """End the process of this flow run; it begins anew when it is resumed."""
    question = held.question
    if question.until is not None:
        _set_alarm(held, math.ceil(question.until))
    # Prefect's own timeout, an hour if left out here, would fail the run and leave the canary as it is.
    form: Any = Answer.with_initial_data(description=question.text) if question.asks else None
    suspend_flow_run(form, timeout=None, key=held.key)
    raise held  # Prefect has taken an answer to it already


def rang() -> str | None:
    """Wake the run that this one is an alarm for, and tell what came of it; ``None`` if this is no alarm."""
    tag = next((tag for tag in runtime.flow_run.tags or () if tag.startswith(_ALARM)), None)
    if tag is None:
        return None
    run_id, _, key = tag.removeprefix(_ALARM).partition(":")
    run: FlowRun = line().read_flow_run(UUID(run_id))
    if run.state is None or not run.state.is_paused() or run.state.state_details.pause_key != key:
        return f"{run.name!r} goes on already: nobody is to be woken."
    asks = bool(run.state.state_details.run_input_keyset)
    line().resume_flow_run(run.id, {"decision": NEITHER} if asks else None)
    return f"Woke {run.name!r}: its time has come."


def _set_alarm(held: HeldError, at: int) -> None:
    when = datetime.fromtimestamp(at, UTC) + _LATE
    line().create_flow_run_from_deployment(
        UUID(runtime.deployment.id),
        parameters=dict(line().read_flow_run(UUID(runtime.flow_run.id)).parameters),
        state=Scheduled(scheduled_time=when),
        name=f"alarm {held.question.service} {held.question.gate}",
        tags=[f"{_ALARM}{runtime.flow_run.id}:{held.key}"],
        idempotency_key=f"{runtime.flow_run.id}:{held.key}",
    )
