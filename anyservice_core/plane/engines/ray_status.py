"""From what Serve says of its applications to one state and one short message. Pure: no Ray here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .base import EngineState
from .essence import essence

__all__ = ["AppReport", "overall"]

_MEANS = {
    "NOT_STARTED": EngineState.STARTING,
    "DEPLOYING": EngineState.STARTING,
    "RUNNING": EngineState.RUNNING,
    "UNHEALTHY": EngineState.UNHEALTHY,
    "DEPLOY_FAILED": EngineState.FAILED,
    "DELETING": EngineState.UNHEALTHY,
}
_WORST_FIRST = (EngineState.FAILED, EngineState.UNHEALTHY, EngineState.STARTING)


@dataclass(frozen=True)
class AppReport:
    """One application: its status, its message, the messages of deployments that are not healthy, and all names."""

    status: str
    message: str = ""
    deployments: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def overall(apps: Mapping[str, AppReport], expected: Collection[str]) -> tuple[EngineState, str]:
    """The worst application decides; one that Serve does not know yet is starting."""
    states = {name: _state(apps.get(name)) for name in expected}
    for worst in _WORST_FIRST:
        names = [name for name, state in states.items() if state is worst]
        if names:
            return worst, "; ".join(
                _describe(name, apps.get(name), alone=len(expected) == 1) for name in names
            )
    return EngineState.RUNNING, ""


def _state(app: AppReport | None) -> EngineState:
    return _MEANS.get(app.status, EngineState.UNHEALTHY) if app else EngineState.STARTING


def _describe(name: str, app: AppReport | None, *, alone: bool) -> str:
    texts = [text for text in (*app.deployments, app.message) if text] if app else []
    traced = [text for text in texts if 'File "' in text]
    said = essence((traced or texts or ["starting"])[0])
    return said if alone else f"application {name!r}: {said}"
