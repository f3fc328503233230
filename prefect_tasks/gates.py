"""How people reach a rollout that runs in Prefect: by an answer in a form, or by an order in its mailbox.

*Answers.* At a gate of the plan that asks for an approval the flow run is *Paused*, with a form in the UI: approve, or
roll back. Meanwhile the rollout goes on watching, and takes a canary that fails back, question or no question. Where
nobody shall wait in a process, ``progressive_deploy(..., gates="suspend")`` ends it (see ``suspending.py``); then
nobody watches either.

*The mailbox* is the flow run's own inputs: ``order`` puts one there, from any process, and the rollout looks
every ten seconds.

Timeouts are the plan's alone: Prefect's would fail the run, and leave the canary where it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Literal, TypeAlias
from uuid import UUID

import orjson
from prefect import runtime
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from anyservice_core import ConfigError
from anyservice_core.rollout.orders import Order, OrderKind
from anyservice_core.rollout.questions import OpenQuestion, Question
from prefect_tasks.forms import Answer, Form
from prefect_tasks.held import HeldError
from prefect_tasks.line import line

__all__ = ["Desk", "Gates", "at_desk", "order", "the_desk"]

Gates: TypeAlias = Literal["watch", "suspend"]

EVERY_S: Final = 10.0
_MAIL: Final = "anyservice-order-"
_ORDERED: Final = {"approve": OrderKind.APPROVE, "roll back": OrderKind.ABORT}


def _now() -> float:
    return time.time()


def order(
    flow_run_id: UUID | str, kind: str, *, reason: str = "", by: str = "", gate: str | None = None
) -> Order:
    """Give an order to the rollout of a flow run: ``approve``, ``promote``, ``promote-full``, ``pause``, ``resume``, ``abort``.

    It is taken in within ten seconds, once. ``gate`` is what an approval is about: a step's weight or ``promotion``;
    left out, it is the gate that holds the rollout then. Raises ``ValueError`` for an order of another name, and
    ``ConfigError`` where nobody would take it in: the run is over, or there is none.
    """
    given = Order(kind=OrderKind(kind), at=_now(), by=by, reason=reason, gate=gate)
    line().create_flow_run_input(_under_way(flow_run_id), f"{_MAIL}{given.id}", given.model_dump_json())
    return given


def _under_way(flow_run_id: UUID | str) -> UUID:
    try:
        run: FlowRun = line().read_flow_run(UUID(str(flow_run_id)))
    except (ValueError, ObjectNotFound):
        raise ConfigError(
            f"flow_run_id: there is no flow run {str(flow_run_id)!r}.",
            hint="Its id is in the address of its page; `prefect flow-run ls` lists all.",
        ) from None
    if run.state is not None and run.state.is_final():
        raise ConfigError(
            f"flow_run_id: {run.name!r} is over ({run.state.name}), so nobody takes an order.",
            hint="A canary that is left is taken back with `anyservice rollback`.",
        )
    return run.id


class Desk:
    """Where a rollout asks, and is told: of one flow run, ``orders`` being all that people ordered so far."""

    def __init__(self, gates: Gates = "watch") -> None:
        self.suspends = gates == "suspend" and self._can_suspend()
        self._run_id = UUID(runtime.flow_run.id) if runtime.flow_run.id else None
        self._form = Form(self._run_id) if self._run_id else None
        self._question = OpenQuestion()
        self._orders: dict[str, Order] = {}
        self._seen: list[str] = []
        self._looked_at: float | None = None

    @staticmethod
    def _can_suspend() -> bool:
        return bool(runtime.deployment.id) and not runtime.flow_run.parent_flow_run_id

    # ── what the rollout says ──

    def begin(self, journal: object) -> None:
        """Take in what an earlier run remembers."""
        self._question.begin(journal)

    def hear(self, event: object) -> None:
        """Take in an event."""
        if self._question.hear(event):
            self._looked_at = None  # ask at once

    def holds(self, journal: object) -> HeldError | None:
        """Give what ends the process, if it shall end at the gate that holds the rollout with this journal."""
        question, form = self._question.now, self._form
        if not self.suspends or form is None or question is None or not self._question.holds(journal):
            return None
        if not (question.asks or question.is_window):
            return None
        key, answer = form.find(question)
        return HeldError(question, key) if answer is None else None

    # ── what people say ──

    @property
    def orders(self) -> Sequence[Order]:
        """What was ordered so far, as far as it was looked at."""
        return tuple(self._orders.values())

    @property
    def is_due(self) -> bool:
        """Whether it is time to look: every ten seconds, and at once where something is to be asked."""
        last = self._looked_at
        return self._form is not None and (last is None or time.monotonic() - last >= EVERY_S)

    def look(self) -> None:
        """Look for orders and answers, and ask what is to be asked."""
        self._looked_at = time.monotonic()
        if self._form is not None:
            self._collect()
            self._turn(self._form)

    def _collect(self) -> None:
        for found in line().filter_flow_run_input(self._run_id, _MAIL, 50, set(self._seen)):  # type: ignore[arg-type]
            self._seen.append(found.key)
            if given := Order.read(orjson.loads(found.value)):
                self._orders[given.id] = given

    def _turn(self, form: Form) -> None:
        """Ask, take the answer in, or let go of a question that has been settled otherwise."""
        question = self._question.now
        if question is None or not question.asks:
            form.withdraw()
            return
        key, answer = form.find(question)
        if answer is not None:
            self._question.settle()
            form.close()
            self._take(question, key, answer)
        elif not form.is_open and not self.suspends:
            form.put(question, key)

    def _take(self, question: Question, key: str, answer: Answer) -> None:
        if (kind := _ORDERED.get(answer.decision)) is not None:
            self._orders[key] = Order(
                kind=kind, at=_now(), by=answer.by, reason=answer.reason, gate=question.gate, id=key
            )

    def close(self) -> None:
        """Leave no question behind."""
        self._question.settle()
        if self._form is not None:
            self._form.withdraw()


_DESK: ContextVar[Desk | None] = ContextVar("anyservice_desk", default=None)


@contextmanager
def at_desk(desk: Desk) -> Iterator[None]:
    """Let the rollouts within ask at ``desk``."""
    token = _DESK.set(desk)
    try:
        yield
    finally:
        _DESK.reset(token)


def the_desk() -> Desk:
    """Give the desk of the flow, or one that watches."""
    return _DESK.get() or Desk()
