"""The mailbox by which people reach a rollout that runs in Airflow; ``gates.py`` is how they are asked.

It is an Airflow Variable, one for each service and connection, with a JSON list of orders (see
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

__all__ = ["Mailbox", "OrderOperator", "mailbox_of"]

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
