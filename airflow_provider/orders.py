"""How people reach a rollout that runs in Airflow: by an answer in the UI, or by an order in its mailbox.

*Answers.* A gate of the plan that asks for an approval becomes a required action of the task (Airflow 3.3): Approve,
or Roll back. Meanwhile the task stays deferred, and its trigger takes a canary that fails back.

*The mailbox* is an Airflow Variable, one for each service and connection, with a JSON list of orders (see
``anyservice_core.rollout.orders``): on any Airflow, for any order, from a task (``OrderOperator``), the UI, the REST
API or ``airflow variables set``. Each rollout looks there every ten seconds. It is not a queue: an order counts for
the rollout that runs when it is given, and two people who write in the same second may lose one of the two.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, Variable

from airflow_provider.aside import aside
from airflow_provider.errors import airflow_errors
from airflow_provider.hooks import ServiceHook, report
from anyservice_core import ConfigError

if TYPE_CHECKING:
    from anyservice_core.rollout.orders import Order

try:
    from airflow.sdk.exceptions import TaskAwaitingInput as _Asked  # noqa: F401  # 3.3: a deferred task can be answered
    from airflow.sdk.execution_time.hitl import upsert_hitl_detail
except ImportError:
    upsert_hitl_detail = None  # type: ignore[assignment]

__all__ = ["CAN_ASK", "Mailbox", "OrderOperator", "answered", "ask", "mailbox_of"]

CAN_ASK = upsert_hitl_detail is not None
APPROVE, ROLL_BACK = "Approve", "Roll back"
EVERY_S = 10.0
_KEPT = 50
_log = logging.getLogger("airflow_provider")


def mailbox_of(service: str, conn_id: str = ServiceHook.default_conn_name) -> str:
    """The name of the Variable where orders for the rollout of ``service`` are put."""
    return f"anyservice_orders__{conn_id}__{service}"


class Mailbox:
    """The orders for one service, read at most every ten seconds."""

    def __init__(self, service: str, conn_id: str, *more: Order) -> None:
        self._name = mailbox_of(service, conn_id)
        self._more = more
        self._orders: tuple[Any, ...] = ()
        self._read_at: float | None = None

    def look(self, key: str = "") -> tuple[Any, ...]:  # noqa: ARG002  # as ``on_orders`` is called
        """Give all orders that are there, old ones too: each counts once, whoever gives it how often."""
        now = time.monotonic()
        if self._read_at is None or now - self._read_at >= EVERY_S:
            self._read_at, self._orders = now, _read(self._name)
        return (*self._orders, *self._more)

    async def alook(self, key: str = "") -> tuple[Any, ...]:
        """Give the same to a trigger."""
        return await aside(self.look, key)


def _read(name: str) -> tuple[Any, ...]:
    try:
        text = Variable.get(name, None)
        orders = json.loads(text) if text else []
    except Exception as error:  # noqa: BLE001  # a rollout goes on without its mailbox
        _log.warning("The mailbox %s could not be read: %s", name, type(error).__name__)
        return ()
    return tuple(orders) if isinstance(orders, list) else (orders,)


def ask(context: Any, service: str, gate: str) -> None:
    """Make an open question of the task: the required actions in Airflow's UI show it.

    Where Airflow does not take the question, the mailbox is left to answer by, and the log says so.
    """
    where = "before all traffic" if gate == "promotion" else f"after {gate} %"
    try:
        # Airflow keeps the words of a task's first question, so they fit each of its gates.
        upsert_hitl_detail(
            ti_id=context["ti"].id,
            options=[APPROVE, ROLL_BACK],
            subject=f"Rollout of {service}: go on?",
            body=f"The canary of `{service}` is fine so far, and waits for a yes. What it waits for and what was measured is in the task's log and in its report.",
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


class OrderOperator(BaseOperator):
    """Puts an order into the mailbox of a rollout that runs in another task. It does not wait for what comes of it.

    Args:
        service: the service's name (templated).
        kind: ``approve``, ``promote``, ``promote-full``, ``pause``, ``resume`` or ``abort`` (templated).
        gate: what is approved, the weight of a step or ``promotion`` (templated); by default what the rollout waits at.
        reason: for the report (templated).
        by: who gives the order (templated); by default whoever has triggered the DAG run, if Airflow knows.
        conn_id: the Airflow connection that the rollout uses.
        kwargs: as every operator takes them.
    """

    template_fields = ("service", "kind", "gate", "reason", "by")
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        service: str,
        kind: str,
        gate: str | None = None,
        reason: str = "",
        by: str | None = None,
        conn_id: str = ServiceHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.service = service
        self.kind = kind
        self.gate = gate
        self.reason = reason
        self.by = by
        self.conn_id = conn_id

    def execute(self, context: Any) -> dict[str, Any]:
        with airflow_errors():
            order = self._order(context)
        name = mailbox_of(self.service, self.conn_id)
        there = [one for one in _read(name) if isinstance(one, Mapping)]
        given = order.model_dump(mode="json", exclude_none=True)
        Variable.set(name, json.dumps([*there, given][-_KEPT:]))
        report(f"{self.service}: {order}, left in {name}")
        return given

    def _order(self, context: Any) -> Order:
        from anyservice_core.rollout.orders import Order, OrderKind

        if self.kind not in set(OrderKind):
            raise ConfigError(
                f"kind: {self.kind!r} is no order.", hint=f"It is one of {', '.join(OrderKind)}."
            )
        gate = None if self.gate in {None, "", "None"} else str(self.gate).removesuffix("%").strip()
        who = self.by or getattr(context.get("dag_run"), "triggering_user_name", None) or f"DAG {self.dag_id}"
        return Order(
            kind=OrderKind(self.kind),
            at=time.time(),
            by=who,
            reason=self.reason,
            gate=gate,
            id=f"{self.dag_id}/{context['run_id']}/{self.task_id}",
        )
