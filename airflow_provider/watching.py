"""What the triggers share: a conversation on an ``AsyncClient`` that ends in one event, and what a kill means.

A trigger lets a poll interval pass before it looks: the worker has just looked, and an event that comes
before the worker has let go of the task would be lost. There is no ``cleanup``: it would also run when a
triggerer shuts down, and nothing answers then.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.errors import failure
from airflow_provider.hooks import ServiceHook, report
from airflow_provider.killing import LEFT, OnKill, marked_failed, take_back
from anyservice_core import AnyserviceError, AsyncClient
from anyservice_core.effects import Sleep

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
                await client.run(iter(Sleep(self.poll_interval_s)))
                payload = await self.outcome(client)
        except AnyserviceError as error:
            payload = failure(error)
        yield TriggerEvent({**payload, **self.kept})  # type: ignore[no-untyped-call]

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
