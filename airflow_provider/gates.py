"""Gates of a rollout at which people are asked, and how they answer in Airflow's UI.

A gate of the plan that asks for an approval becomes a required action of the task (Airflow 3.3): Approve, or Roll
back. Meanwhile the task stays deferred, and its trigger takes a canary that fails back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.compat import QUESTIONS, asks_people, has
from airflow_provider.hooks import report
from airflow_provider.links import ReportLink

if TYPE_CHECKING:
    from anyservice_core import RolloutPlan
    from anyservice_core.rollout.journal import Journal
    from anyservice_core.rollout.orders import Order

__all__ = ["AtGateError", "answered", "ask", "stops"]

APPROVE, ROLL_BACK = "Approve", "Roll back"
_FINE = (
    "The canary has baked, and its metrics are content. It is watched on while you think: if it turns bad, it is taken "
    "back and this question is closed."
)
_log = logging.getLogger("airflow_provider")


class AtGateError(Exception):
    """Ends following a rollout at a gate; it goes on later from ``journal``."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal.gate)
        self.journal = journal


def stops(plan: RolloutPlan, journal: Journal) -> list[str]:
    """The gates at which a worker has to come, so that people are asked: those that nobody has opened yet."""
    gates = [gate for gate in plan.gates if journal.approval(gate) is None]
    return gates if gates and has(QUESTIONS) else []


def ask(context: Any, service: str, journal: Journal) -> None:
    """Make an open question of the task: the required actions in Airflow's UI show it.

    Where Airflow does not take the question, the mailbox is left to answer by, and the log says so.
    """
    where = "before all traffic" if journal.gate == "promotion" else f"after {journal.gate} %"
    try:
        page = ReportLink().get_link(None, ti_key=context["ti"])
        # Airflow keeps the words of a task's first question, so they fit each of its gates.
        asks_people()(
            ti_id=context["ti"].id,
            options=[APPROVE, ROLL_BACK],
            subject=f"Rollout of {service}: shall version {journal.version_name} go on?",
            body=f"{_FINE} [Its report]({page}) shows what was measured, and the task's log what comes next.",
            params={},
        )
    except Exception:  # noqa: BLE001
        _log.warning(
            "%s: people could not be asked in Airflow; an order does it too.", service, exc_info=True
        )
        return
    report(f"{service}: waits for an answer in the required actions of this task, {where}")


def answered(event: Mapping[str, Any] | None, gate: str | None) -> Order | None:
    """The order that a person's answer is; ``None`` for an event that is no answer."""
    if not event or "chosen_options" not in event:
        return None
    from anyservice_core.rollout.orders import Order, OrderKind

    user, at = event.get("responded_by_user") or {}, event.get("responded_at")
    name = user.get("name") if isinstance(user, Mapping) else getattr(user, "name", "")
    kind = OrderKind.APPROVE if event["chosen_options"] == [APPROVE] else OrderKind.ABORT
    stamp = at.timestamp() if at is not None and hasattr(at, "timestamp") else time.time()
    return Order(
        kind=kind, at=stamp, by=str(name or ""), reason="answered in Airflow", gate=gate, id=f"answer-{stamp}"
    )
