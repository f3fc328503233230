"""Watches a service as its control plane shows it: who has which weight, since when, until when.

A weight is *held* from the look at which it was first seen to the last look at which it still was. Between
two looks it may have changed, so nothing is claimed of the time between them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

__all__ = ["Held", "Ledger", "Look", "Watcher"]

EVERY_S = 0.25


@dataclass(frozen=True)
class Look:
    """One look at the service. Versions go by their short names, the weights are percent."""

    state: str
    weights: Mapping[str, int]
    states: Mapping[str, str]
    primary: str | None = None
    canary: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Held:
    """The weights of all versions, and the time (seconds since the epoch) for which they were seen."""

    weights: Mapping[str, int]
    since: float
    until: float


@dataclass
class Ledger:
    """Enters looks; gives the weights that were held and what changed."""

    held: list[Held] = field(default_factory=list)
    last: Look | None = None

    def enter(self, look: Look, now: float) -> list[str]:
        """Enter a look; give a line for each thing that is not as it was at the last one."""
        news = _differences(self.last, look)
        self.last = look
        if self.held and self.held[-1].weights == look.weights:
            self.held[-1] = replace(self.held[-1], until=now)
        else:
            self.held.append(Held(look.weights, now, now))
        return news


def _differences(before: Look | None, now: Look) -> list[str]:
    old = before or Look("", {}, {})
    lines = [
        f"{version} is {state.lower().replace('_', ' ')}"
        for version, state in now.states.items()
        if old.states.get(version) != state
    ]
    if now.primary and now.primary != old.primary:
        lines.append(f"{now.primary} is the primary version")
    if old.canary and now.canary is None and now.primary != old.canary:
        lines.append(f"{old.canary} was taken back")
    return lines


class Watcher:
    """Looks again and again in a thread of its own. ``look`` gives ``None`` where nothing could be seen."""

    def __init__(self, look: Callable[[], Look | None], tell: Callable[[str], None]) -> None:
        self._look, self._tell = look, tell
        self._ledger = Ledger()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    @property
    def held(self) -> list[Held]:
        with self._lock:
            return list(self._ledger.held)

    @property
    def last(self) -> Look | None:
        with self._lock:
            return self._ledger.last

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            look = self._look()
            if look is None:
                continue
            with self._lock:
                news = self._ledger.enter(look, time.time())
            for line in news:
                self._tell(line)
