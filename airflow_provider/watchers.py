"""DAGs that run because a service has changed: a trigger for ``AssetWatcher`` (Airflow 3).

A watcher belongs to an asset, and a DAG that is scheduled by the asset is told what changed:

RECOMMENDER = service_asset("recommender", watchers=[
    AssetWatcher(name="changes", trigger=ServiceChangeTrigger(service="recommender")),
])
DAG(..., schedule=[RECOMMENDER])      triggering_asset_events[...].extra["payload"] says what changed
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider.compat import WATCHERS, has
from airflow_provider.hooks import ServiceHook
from anyservice_core import AnyserviceError, AsyncClient, NotFoundError
from anyservice_core.effects import Op, Sleep
from anyservice_core.operations import services

__all__ = ["ServiceChangeTrigger"]

_SEEN = "seen"
_LONGEST_S = 300.0  # between looks while they fail
_log = logging.getLogger("airflow_provider")


class ServiceChangeTrigger(BaseEventTrigger):
    """Tells of each change of a service's state or versions, once.

    The first look only learns what is there. What was told last is kept in the asset's state store (3.3.2), so that a
    change is not told again by the next triggerer, nor missed while there was none. On an older Airflow a restart
    learns anew. A look that fails is repeated later, the pauses growing to five minutes; it never ends the watch.

    Args:
        service: the service's name.
        of: what changes count: ``state``, ``version`` (the primary's or the canary's) or both.
        poll_interval_s: seconds between looks.
        conn_id: the Airflow connection to the control plane.
    """

    hook_class: type[ServiceHook] = ServiceHook

    def __init__(
        self,
        *,
        service: str,
        of: tuple[str, ...] | list[str] = ("state", "version"),
        poll_interval_s: float = 15.0,
        conn_id: str = ServiceHook.default_conn_name,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        has(WATCHERS)
        if unknown := set(of) - {"state", "version"}:
            raise ValueError(f"of: {sorted(unknown)} is not known; there are 'state' and 'version'.")
        self.service = service
        self.of = list(of)
        self.poll_interval_s = poll_interval_s
        self.conn_id = conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class's path and the arguments that make this trigger again."""
        names = ("service", "of", "poll_interval_s", "conn_id")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, and tell what has changed, for ever."""
        told, failures = await self._recall(), 0
        while True:
            try:
                async with await self.hook_class(self.conn_id).aget_conn() as client:
                    while True:
                        seen = await self._look(client)
                        failures = 0
                        if told is not None and seen != told:
                            await self._keep(seen)  # before it is told: rather once too seldom than twice
                            yield self._event(told, seen)
                        elif told is None:
                            await self._keep(seen)
                        told = seen
                        await client.run(_pause(self.poll_interval_s))
            except AnyserviceError as error:
                failures += 1
                _log.warning("%s: no look at it, trying again later: %s", self.service, error)
                await _rest(min(self.poll_interval_s * 2**failures, _LONGEST_S))

    async def _look(self, client: AsyncClient) -> dict[str, Any]:
        try:
            status = await client.run(services.glance(self.service))
        except NotFoundError:
            return dict.fromkeys(self._facts, None)
        facts = {
            "state": str(status.state),
            "primary": status.primary_version.name if status.primary_version else None,
            "canary": status.canary_version.name if status.canary_version else None,
        }
        return {name: facts[name] for name in self._facts}

    @property
    def _facts(self) -> list[str]:
        by = {"state": ["state"], "version": ["primary", "canary"]}
        return [fact for name in sorted(self.of) for fact in by[name]]

    def _event(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> TriggerEvent:
        changed = [name for name in now if now[name] != before.get(name)]
        payload = {"service": self.service, "changed": changed, "before": dict(before), "now": dict(now)}
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]

    # ── memory ──

    async def _recall(self) -> dict[str, Any] | None:
        store: Any = getattr(self, "asset_state_store", None)
        try:
            found = await store.aget(_SEEN) if hasattr(store, "aget") else None
        except Exception:  # noqa: BLE001
            _log.warning("What was seen of %s before is out of reach.", self.service, exc_info=True)
            return None
        return dict(found) if isinstance(found, Mapping) and set(found) == set(self._facts) else None

    async def _keep(self, seen: Mapping[str, Any]) -> None:
        store: Any = getattr(self, "asset_state_store", None)
        try:
            if hasattr(store, "aset"):
                await store.aset(_SEEN, dict(seen))
        except Exception:  # noqa: BLE001
            _log.warning("What was seen of %s could not be kept.", self.service, exc_info=True)


def _pause(seconds: float) -> Op[None]:
    yield from Sleep(seconds)


async def _rest(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)
