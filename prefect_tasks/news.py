"""What a rollout tells Prefect's events, for automations: one for each step, promotion and way back.

    event         anyservice.rollout.<started, deploying, step, waiting, promoting, rolling-back, ...>, and at the end
                  one of succeeded, no-change, rolled-back, paused, superseded, failed
    resource      prefect.resource.id is anyservice.service.<name>; the version is anyservice.version
    payload       service, version, weight (percent), message, and what belongs to the kind

Prefect itself adds the flow run and the deployment as related resources.
"""

from __future__ import annotations

from typing import Any, Final

from prefect.events import emit_event

from anyservice_core.rollout import Event, Kind
from prefect_tasks.naming import resource_id

__all__ = ["PREFIX", "announce"]

PREFIX: Final = "anyservice.rollout."
# A measurement is no news: there is one a poll. Its numbers are in the table of verdicts.
_QUIET: Final = frozenset({Kind.MEASURED})
_NAMES: Final = {Kind.BAKING: "step", Kind.ROLLING_BACK: "rolling-back"}
_BULKY: Final = frozenset({"plan", "report"})


def announce(event: Any) -> None:
    """Emit what is worth an event. It is sent by a thread of Prefect's: nothing waits for it."""
    if isinstance(event, Event) and _is_news(event):
        emit_event(
            event=f"{PREFIX}{_name(event)}",
            resource={
                "prefect.resource.id": resource_id(event.service),
                "prefect.resource.name": event.service,
                "anyservice.version": event.version,
            },
            payload={
                "service": event.service,
                "version": event.version,
                "weight": event.weight,
                "message": event.message,
                **{name: value for name, value in event.data.items() if name not in _BULKY},
            },
        )


def _is_news(event: Event) -> bool:
    passing = event.kind is Kind.WAITING and "gate" not in event.data
    return event.kind not in _QUIET and not passing


def _name(event: Event) -> str:
    if event.kind is Kind.FINISHED:
        return str(event.data.get("outcome", "failed")).replace("_", "-")
    return _NAMES.get(event.kind, event.kind.value)
