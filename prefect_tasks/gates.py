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
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

import orjson
from prefect import get_client, runtime
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.objects import State as RunState
from prefect.input import RunInput, keyset_from_paused_state
from prefect.states import Paused, Running, Suspended
from pydantic import Field

from anyservice_core.rollout import Event, Kind
from anyservice_core.rollout.orders import Order, OrderKind
from prefect_tasks.held import HeldError, Question
from prefect_tasks.reporting import slug

__all__ = ["NEITHER", "Answer", "Desk", "Gates", "at_desk", "order", "the_desk"]

Gates: TypeAlias = Literal["watch", "suspend"]

EVERY_S: Final = 10.0
_MAIL: Final = "anyservice-order-"
# Of these, none says that a gate was left behind.
_ASIDE: Final = frozenset(
    {Kind.MEASURED, Kind.ORDERED, Kind.TROUBLE, Kind.WAITING, Kind.BAKING, Kind.ADOPTED}
)


def _now() -> float:
    return time.time()


class Answer(RunInput):
    """What the form asks for."""

    decision: Literal["approve", "roll back", "leave it to the plan"] = Field(
        description="Go on, take the canary back, or let the plan decide when its time is up.",
    )
    reason: str = Field(default="", description="Why. It is kept in the report.")
    by: str = Field(default="", description="Who answers.")


NEITHER: Final = "leave it to the plan"
_ORDERED: Final = {"approve": OrderKind.APPROVE, "roll back": OrderKind.ABORT}


def order(
    flow_run_id: UUID | str, kind: str, *, reason: str = "", by: str = "", gate: str | None = None
) -> Order:
    """Give an order to the rollout of a flow run: ``approve``, ``promote``, ``promote-full``, ``pause``, ``resume``, ``abort``.

    It is taken in within ten seconds, once. ``gate`` is what an approval is about: a step's weight or ``promotion``;
    left out, it is the gate that holds the rollout then. Raises ``ValueError`` for an order of another name.
    """
    given = Order(kind=OrderKind(kind), at=_now(), by=by, reason=reason, gate=gate)
    with get_client(sync_client=True) as client:
        client.create_flow_run_input(UUID(str(flow_run_id)), f"{_MAIL}{given.id}", given.model_dump_json())
    return given


class Desk:
    """Where a rollout asks, and is told: of one flow run, ``orders`` being all that people ordered so far."""

    def __init__(self, gates: Gates = "watch") -> None:
        self.run_id = UUID(runtime.flow_run.id) if runtime.flow_run.id else None
        self.suspends = gates == "suspend" and self._can_suspend()
        self._orders: dict[str, Order] = {}
        self._seen: list[str] = []
        self._question: Question | None = None
        self._remembered: Any = None
        self._paused: RunState[Any] | None = None
        self._looked_at: float | None = None

    @staticmethod
    def _can_suspend() -> bool:
        return bool(runtime.deployment.id) and not runtime.flow_run.parent_flow_run_id

    # ── what the rollout says ──

    def begin(self, journal: Any) -> None:
        """Take in what an earlier run remembers: it may have been held already, and does not say so again."""
        self._remembered = journal if isinstance(journal, dict) else None

    def hear(self, event: Any) -> None:
        """Take in an event."""
        if not isinstance(event, Event):
            return
        if event.kind is Kind.ADOPTED:
            self._question = self._left_open(event)
        elif event.kind is Kind.WAITING and (gate := event.data.get("gate")):
            until, self._looked_at = event.data.get("until"), None  # ask at once
            self._question = Question(event.service, event.version, str(gate), until, str(event))
        elif event.kind not in _ASIDE:
            self._question = None

    def _left_open(self, event: Event) -> Question | None:
        """The question of an earlier run of this very version."""
        old = self._remembered or {}
        if not old.get("gate") or old.get("version_name") != event.version:
            return None
        return Question(event.service, event.version, str(old["gate"]), None, f"{event.service}: go on?")

    def hold(self, journal: Any) -> None:
        """Raise ``HeldError`` if the process shall end at the gate that holds the rollout. Its memory is saved."""
        question = self._question
        if not self.suspends or question is None or getattr(journal, "gate", None) != question.gate:
            return
        if not (question.asks or question.is_window):
            return
        with get_client(sync_client=True) as client:
            key, answer = self._state_of(client, question)
        if answer is None:
            raise HeldError(question, key)

    # ── what people say ──

    @property
    def orders(self) -> Sequence[Order]:
        """What was ordered so far, as far as it was looked at."""
        return tuple(self._orders.values())

    def look(self) -> None:
        """Look for orders and answers, at most every ten seconds, and ask what is to be asked."""
        now = time.monotonic()
        if self.run_id and (self._looked_at is None or now - self._looked_at >= EVERY_S):
            self._looked_at = now
            with get_client(sync_client=True) as client:
                self._collect(client)
                self._turn(client)

    def _collect(self, client: Any) -> None:
        for found in client.filter_flow_run_input(self.run_id, _MAIL, 50, set(self._seen)):
            self._seen.append(found.key)
            if given := Order.read(orjson.loads(found.value)):
                self._orders[given.id] = given

    def _turn(self, client: Any) -> None:
        """Ask, take the answer in, or let go of a question that has been settled otherwise."""
        question = self._question
        if question is None or not question.asks:
            self._let_go(client)
            return
        key, answer = self._state_of(client, question)
        if answer is not None:
            self._question = self._paused = None
            self._take(question, key, answer)
        elif self._paused is None and not self.suspends:
            self._pause(client, question, key)

    def _take(self, question: Question, key: str, answer: Answer) -> None:
        if (kind := _ORDERED.get(answer.decision)) is not None:
            self._orders[key] = Order(
                kind=kind, at=_now(), by=answer.by, reason=answer.reason, gate=question.gate, id=key
            )

    def _state_of(self, client: Any, question: Question) -> tuple[str, Answer | None]:
        """The key that the question is asked under, which Prefect takes but once, and its answer if there is one."""
        run: FlowRun = client.read_flow_run(self.run_id)
        used = run.empirical_policy.pause_keys or set()
        stem = slug(f"{question.service}-{question.version}-{question.gate}")
        waiting = run.state is not None and run.state.is_paused()
        for number in range(len(used) + 1):
            key = f"{stem}-{number}"
            if key not in used:
                break
            if answer := self._answer(client, key):
                return key, answer
            if waiting and run.state and run.state.state_details.pause_key == key:
                self._paused = run.state
                return key, None
        return key, None

    def _answer(self, client: Any, key: str) -> Answer | None:
        states: tuple[RunState[Any], ...] = (Paused(pause_key=key), Suspended(pause_key=key))
        for state in states:
            name = str(keyset_from_paused_state(state)["response"])
            for found in client.filter_flow_run_input(self.run_id, name, 1, set()):
                return Answer(**orjson.loads(found.value))
        return None

    def _pause(self, client: Any, question: Question, key: str) -> None:
        run = client.read_flow_run(self.run_id)
        if run.state is None or not run.state.is_running():
            return  # somebody else's question is open: after that one
        state: RunState[Any] = Paused(pause_key=key, message=question.text)
        keyset = {str(name): value for name, value in keyset_from_paused_state(state).items()}
        state.state_details.run_input_keyset = keyset
        client.set_flow_run_state(self.run_id, state)
        self._paused = state
        try:  # after the state, as Prefect 3.9 clears the form when it comes
            self._put_form(client, question, keyset)
        except BaseException:
            self._let_go(client)  # and ask anew: without a form nobody can answer
            raise

    def _put_form(self, client: Any, question: Question, keyset: dict[str, str]) -> None:
        """Do what ``Answer.save`` does, which hands out a coroutine where the run is asynchronous."""
        for name, value in (("schema", Answer.model_json_schema()), ("description", question.text)):
            client.create_flow_run_input(self.run_id, keyset[name], orjson.dumps(value).decode())

    def _let_go(self, client: Any) -> None:
        """Take a question back that nobody needs to answer any longer."""
        asked, self._paused = self._paused, None
        if asked is None or self.run_id is None:
            return
        now = client.read_flow_run(self.run_id).state
        if (
            now is not None
            and now.is_paused()
            and now.state_details.pause_key == asked.state_details.pause_key
        ):
            client.set_flow_run_state(self.run_id, Running(message="It went on by itself."), force=True)

    def close(self) -> None:
        """Leave no question behind."""
        self._question = None
        if self._paused is not None:
            with get_client(sync_client=True) as client:
                self._let_go(client)


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
