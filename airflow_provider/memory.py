"""What a deferred rollout leaves where the next triggerer, the worker and the report's page find it: its XComs.

Airflow keeps XComs of a task while it is deferred and resumed, and drops them when it is tried again; then the task state
store (3.3) knows what the last worker knew. Triggers have no such store. All of it is a hint, as the core's journal is:
whatever goes wrong here is a line of the log, and costs a bake at most.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from airflow.providers.common.compat.sdk import XCom

from airflow_provider.aside import aside

__all__ = ["EVENTS", "JOURNAL", "REPORT", "Memory", "newer", "trimmed"]

JOURNAL = "journal"
EVENTS = "events"
REPORT = "report"
EVERY_S = 60.0  # the clocks of a bake are written this often; what happens, at once
_MOST = 400  # events; the page of a report draws them
_log = logging.getLogger("airflow_provider")


class Memory:
    """The XComs of one task, for a trigger. Where there is no task, as in ``dag.test()``, it forgets."""

    def __init__(self, ti: Any) -> None:
        self._ti = ti
        self._mark: Any = None
        self._at = 0.0

    async def recall(self, key: str) -> Any:
        """Give what is kept under ``key``; ``None`` if nothing is."""
        return await self._forgiving(lambda where: XCom.get_one(key=key, **where))

    async def keep(self, journal: Any, events: list[Mapping[str, Any]]) -> None:
        """Keep them if something has happened, or a while has passed."""
        now = time.monotonic()
        if journal.mark == self._mark and now - self._at < EVERY_S:
            return
        self._mark, self._at = journal.mark, now
        await self.put(JOURNAL, journal.model_dump(mode="json"))
        await self.put(EVENTS, trimmed(events))

    async def put(self, key: str, value: Any) -> None:
        """Keep ``value``, which is plain JSON."""
        await self._forgiving(lambda where: XCom.set(key=key, value=value, **where))

    async def _forgiving(self, call: Callable[[dict[str, Any]], Any]) -> Any:
        if self._ti is None:
            return None
        where = {name: getattr(self._ti, name) for name in ("dag_id", "task_id", "run_id", "map_index")}
        try:
            return await aside(call, where)
        except Exception as error:  # noqa: BLE001
            _log.warning("The rollout's memory is out of reach, it goes on: %s", type(error).__name__)
            return None


def newer(one: Any, other: Any) -> Any:
    """Of two journals as plain values, the one that has seen more; either may be missing."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one if isinstance(one, Mapping) else other
    same = one.get("version_name") == other.get("version_name")
    return one if not same or (one.get("looked_at") or 0) >= (other.get("looked_at") or 0) else other


def trimmed(events: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first few and the last events, as many as are kept."""
    return events if len(events) <= _MOST else [*events[:20], *events[20 - _MOST :]]
