"""What the triggers share: a conversation on an ``AsyncClient`` that ends in one event, and what a kill means.

A trigger lets a poll interval pass before it looks, since the worker has just looked. It tells nothing before the
executor has reported that the worker let go of the task, some five seconds later: Airflow takes a task that was
resumed by then for one that died, and tries it again, so that a canary that a person took back would be deployed
once more. There is no ``cleanup``: it would also run when a
triggerer shuts down, and nothing answers then.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.defaults import let_go_s
from airflow_provider.errors import failure
from airflow_provider.hooks import ServiceHook, report
from airflow_provider.killing import LEFT, OnKill, marked_failed, take_back
from anyservice_core import AnyserviceError, AsyncClient
from anyservice_core.effects import Now, Op, Sleep

__all__ = ["ServiceTrigger"]


class ServiceTrigger(BaseTrigger):
    """What the triggers share: a conversation on an ``AsyncClient`` that ends in one event.

    ``mine`` says which canary a kill may take back, as ``take_back`` takes it; ``None``: none.
    """

    hook_class: type[ServiceHook] = ServiceHook
    names: ClassVar[tuple[str, ...]] = ("conn_id", "poll_interval_s", "mine", "on_kill_do")

    def __init__(
        self,
        *,
        conn_id: str,
        poll_interval_s: float,
        mine: Mapping[str, Any] | None = None,
        on_kill_do: OnKill = "leave",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.poll_interval_s = poll_interval_s
        self.mine = mine
        self.on_kill_do = on_kill_do
        self.kept: dict[str, Any] = {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class's path and the arguments that make this trigger again."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self.names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the end, and tell it. An error that is not ours fails the task with its traceback."""
        try:
            async with await self.hook_class(self.conn_id).aget_conn(**self.ears()) as client:
                payload = await self.conversation(client)
        except AnyserviceError as error:
            payload = failure(error)
        yield TriggerEvent({**payload, **self.kept})  # type: ignore[no-untyped-call]

    async def conversation(self, client: AsyncClient) -> dict[str, Any]:
        """Wait for the end, or an error of ours, and until it may be told."""
        began = await client.run(_now())
        await client.run(iter(Sleep(self.poll_interval_s)))
        try:
            payload = await self.outcome(client)
        except AnyserviceError as error:
            payload = failure(error)
        left_s = began + let_go_s() - await client.run(_now())
        await client.run(iter(Sleep(max(left_s, 0.0))))
        return payload

    async def outcome(self, client: AsyncClient) -> dict[str, Any]:
        """Give the payload of a good end, or raise one of our errors."""
        raise NotImplementedError

    @property
    def pace_s(self) -> float:
        """The poll interval, a tenth more or less: a thousand triggers that were held up together do not stay in step."""
        return self.poll_interval_s * random.uniform(0.9, 1.1)  # noqa: S311  # spreads load, guards nothing

    def ears(self) -> dict[str, Any]:
        """Give the client's options: what listens to it beside the log."""
        return {}

    async def on_kill(self) -> None:
        """A person ended the deferred task: take the canary back if that was asked for, and meant."""
        if self.mine is None:
            return
        if self.on_kill_do != "rollback" or not await marked_failed(self.task_instance):
            report(LEFT)
            return
        async with await self.hook_class(self.conn_id).aget_conn() as client:
            await client.run(take_back(**self.mine))


def _now() -> Op[float]:
    return (yield from Now())
