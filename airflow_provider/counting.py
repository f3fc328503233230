"""What a rollout tells, as Airflow's metrics: StatsD, OpenTelemetry, or wherever Airflow sends them.

    anyservice.rollout.steps, .promotions, .rollbacks, .waits        counters
    anyservice.rollout.finished                                      a counter with the tag ``outcome``
    anyservice.rollout.duration                                      a timer of whole rollouts, same tag

Each has the tag ``service``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import Stats

from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.gates import END

__all__ = ["count"]

_COUNTED = {
    Kind.BAKING: "steps",
    Kind.PROMOTING: "promotions",
    Kind.ROLLING_BACK: "rollbacks",
    Kind.WAITING: "waits",
}
_NO_WAIT = {None, END}  # of a group: its next task only has to begin


def count(event: Any) -> None:
    """Count an event, if it is one that is counted."""
    if not isinstance(event, Event):
        return
    tags = {"service": event.service}
    if event.kind in _COUNTED and (event.kind is not Kind.WAITING or event.data.get("gate") not in _NO_WAIT):
        Stats.incr(f"anyservice.rollout.{_COUNTED[event.kind]}", tags=tags)
    if event.kind is Kind.FINISHED:
        ended = {**tags, "outcome": str(event.data.get("outcome"))}
        Stats.incr("anyservice.rollout.finished", tags=ended)
        took_s = (event.data.get("report") or {}).get("duration_s") or 0.0
        Stats.timing("anyservice.rollout.duration", timedelta(seconds=took_s), tags=ended)
