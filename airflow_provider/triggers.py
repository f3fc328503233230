"""Waiting in the triggerer: many tasks on one event loop, none of them holding a worker.

What a trigger is given is kept in Airflow's database, in clear text where no Fernet key is set. So it is plain
JSON and no secret: a connection's name, a service's name or id, a goal or a plan. It never holds a config, whose
``env_vars`` may be secret.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider.aside import aside
from airflow_provider.errors import success
from airflow_provider.gates import AtGateError
from airflow_provider.hooks import report
from airflow_provider.memory import EVENTS, JOURNAL, Memory, newer, trimmed
from airflow_provider.orders import Mailbox
from airflow_provider.summary import summary
from airflow_provider.turns import Holder, holder
from airflow_provider.watching import ServiceTrigger
from anyservice_core import AnyserviceError, AsyncClient, WaitTimeoutError
from anyservice_core.effects import Sleep
from anyservice_core.rollout.events import Event
from anyservice_core.rollout.journal import Journal

__all__ = ["RolloutTrigger", "ServiceTrigger", "TurnTrigger", "WaitTrigger"]


class WaitTrigger(ServiceTrigger):
    """Waits until a service reaches a goal.

    ``goal`` holds arguments of ``Client.wait``. ``deadline`` is in seconds since the epoch: however often
    triggerers are restarted, it does not move.
    """

    names = (*ServiceTrigger.names, "service", "goal", "deadline")

    def __init__(
        self, *, service: Mapping[str, Any], goal: Mapping[str, Any], deadline: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.service = dict(service)
        self.goal = dict(goal)
        self.deadline = deadline

    async def outcome(self, client: AsyncClient) -> dict[str, Any]:
        left_s = self.deadline - time.time()
        if left_s <= 0:
            raise WaitTimeoutError("The deadline of the wait has passed.")
        # Patient, as a triggerer may start before the plane does, such as after a machine has started anew.
        status = await client.wait(
            **self.service, **self.goal, timeout_s=left_s, poll_interval_s=self.pace_s, patient=True
        )
        return success(summary(status))


class TurnTrigger(ServiceTrigger):
    """Waits until no other task rolls ``service`` out; then a worker begins. ``asker`` is the task that waits."""

    names = (*ServiceTrigger.names, "service", "asker", "deadline")

    def __init__(self, *, service: str, asker: Mapping[str, Any], deadline: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service = service
        self.asker = dict(asker)
        self.deadline = deadline

    async def outcome(self, client: AsyncClient) -> dict[str, Any]:
        while await aside(self._held):
            await client.run(iter(Sleep(self.pause_s)))
        return {"status": "time_to_deploy"}

    def wait_here(self) -> None:
        """Wait in a worker."""
        while self._held():
            time.sleep(self.pause_s)

    @property
    def pause_s(self) -> float:
        return max(self.poll_interval_s, 10.0)

    def _held(self) -> bool:
        other = holder(Holder(**self.asker), self.service, self.conn_id)
        if other is not None and time.time() >= self.deadline:
            raise WaitTimeoutError(f"{self.service} is still being rolled out by {other}.")
        return other is not None


class RolloutTrigger(ServiceTrigger):
    """Goes on with a rollout that a worker has begun, to its end.

    ``relay`` is what ``Client.begin_rollout`` gave, ``plan`` the plan, both as plain values. At a gate among ``stops`` it
    ends with an event of the status ``at_gate``, for a worker to ask people. What happens is kept in the task's XComs,
    where the next triggerer finds it; the journal also comes back with the event, for the worker to keep.
    """

    names = (*ServiceTrigger.names, "relay", "plan", "stops")

    def __init__(
        self, *, relay: Mapping[str, Any], plan: Mapping[str, Any], stops: Iterable[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.relay = dict(relay)
        self.plan = dict(plan)
        self.stops = list(stops)
        self.events: list[Mapping[str, Any]] = []

    def ears(self) -> dict[str, Any]:
        self.memory = Memory(self.task_instance)
        mailbox = Mailbox(str(self.relay["service"]), self.conn_id)
        return {"on_report": self.hear, "on_save": self.keep, "on_orders": mailbox.alook}

    async def outcome(self, client: AsyncClient) -> dict[str, Any]:
        journal = newer(self.relay["journal"], await self.memory.recall(JOURNAL))
        self.events = list(await self.memory.recall(EVENTS) or ())
        relay = {**self.relay, "journal": journal}
        try:
            done = await client.follow_rollout(relay, self.plan, poll_interval_s=self.pace_s)
        except AtGateError as held:
            return {"status": "at_gate", "gate": held.journal.gate}
        except AnyserviceError:
            await self.memory.put(EVENTS, trimmed(self.events))
            raise
        await self.memory.put(EVENTS, trimmed(self.events))
        return success(done.to_dict()) if done else {"status": "time_to_deploy"}

    def hear(self, event: object) -> None:
        """Log what happens, and keep it for the report's page."""
        report(event)
        if isinstance(event, Event):
            self.events.append(event.to_dict())

    async def keep(self, key: str, value: Journal) -> None:  # noqa: ARG002
        """Keep the journal, and come back with it from a gate that a worker shall see."""
        self.kept = {"journal": value.model_dump(mode="json")}
        await self.memory.keep(value, self.events)
        if value.gate in self.stops:
            raise AtGateError(value)
