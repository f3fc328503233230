"""The form in which people answer at a gate: a flow run that is *Paused*, and what is typed into it.

Prefect takes each key of a pause but once in a run, so a question that is asked again has another; which is read off
the run itself, and a process that comes later finds the question that an earlier one has left.
"""

from __future__ import annotations

from typing import Any, Final, Literal
from uuid import UUID

import orjson
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.objects import State as RunState
from prefect.input import RunInput, keyset_from_paused_state
from prefect.states import Paused, Running, Suspended
from pydantic import Field

from anyservice_core.rollout.questions import Question
from prefect_tasks.line import line
from prefect_tasks.reporting import slug

__all__ = ["NEITHER", "Answer", "Form"]


class Answer(RunInput):
    """What the form asks for."""

    decision: Literal["approve", "roll back", "leave it to the plan"] = Field(
        description="Go on, take the canary back, or let the plan decide when its time is up.",
    )
    reason: str = Field(default="", description="Why. It is kept in the report.")
    by: str = Field(default="", description="Who answers.")


NEITHER: Final = "leave it to the plan"


class Form:
    """The form of the flow run ``run_id``."""

    def __init__(self, run_id: UUID) -> None:
        self._run_id = run_id
        self._open: RunState[Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is before people now."""
        return self._open is not None

    def find(self, question: Question) -> tuple[str, Answer | None]:
        """Give the key that the question is asked under, or is to be, and its answer if there is one."""
        run: FlowRun = line().read_flow_run(self._run_id)
        used = run.empirical_policy.pause_keys or set()
        stem = slug(f"{question.service}-{question.version}-{question.gate}")
        for number in range(len(used) + 1):
            key = f"{stem}-{number}"
            if key not in used:
                break
            if answer := self._answer(key):
                return key, answer
            if run.state is not None and _is_paused_at(run.state, key):
                self._open = run.state
                break
        return key, None

    def _answer(self, key: str) -> Answer | None:
        states: tuple[RunState[Any], ...] = (Paused(pause_key=key), Suspended(pause_key=key))
        for state in states:
            name = str(keyset_from_paused_state(state)["response"])
            for found in line().filter_flow_run_input(self._run_id, name, 1, set()):
                return Answer(**orjson.loads(found.value))
        return None

    def put(self, question: Question, key: str) -> None:
        """Pause the run with the question; not while somebody else's is open."""
        run = line().read_flow_run(self._run_id)
        if run.state is None or not run.state.is_running():
            return
        state: RunState[Any] = Paused(pause_key=key, message=question.text)
        keyset = {str(name): value for name, value in keyset_from_paused_state(state).items()}
        state.state_details.run_input_keyset = keyset
        line().set_flow_run_state(self._run_id, state)
        self._open = state
        try:  # after the state, as Prefect 3.9 clears the form when it comes
            self._fill(question, keyset)
        except BaseException:
            self.withdraw()  # and ask anew: without a form nobody can answer
            raise

    def _fill(self, question: Question, keyset: dict[str, str]) -> None:
        """Do what ``Answer.save`` does, which hands out a coroutine where the run is asynchronous."""
        for name, value in (("schema", Answer.model_json_schema()), ("description", question.text)):
            line().create_flow_run_input(self._run_id, keyset[name], orjson.dumps(value).decode())

    def close(self) -> None:
        """Note that it was answered, which let the run go on."""
        self._open = None

    def withdraw(self) -> None:
        """Take a question back that nobody needs to answer any longer."""
        asked, self._open = self._open, None
        if asked is None:
            return
        now = line().read_flow_run(self._run_id).state
        if now is not None and _is_paused_at(now, asked.state_details.pause_key):
            line().set_flow_run_state(self._run_id, Running(message="It went on by itself."), force=True)


def _is_paused_at(state: RunState[Any], key: str | None) -> bool:
    return state.is_paused() and state.state_details.pause_key == key
