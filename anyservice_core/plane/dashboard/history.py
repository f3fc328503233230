"""What the last quarter of an hour looked like: each version's weight and traffic totals, now and then.

Kept in memory only. While nothing changes, only the ends of the stretch are kept, so a thousand idle services
cost next to nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from anyservice_core.plane.state import Service
from anyservice_core.plane.store import Store

__all__ = ["EVERY_S", "KEPT_S", "History", "Mark", "Sample"]

EVERY_S: Final = 2.0
KEPT_S: Final = 900.0


@dataclass(frozen=True)
class Mark:
    """A version at one moment; the counts are totals since it was attached."""

    name: str
    weight: int
    requests: int = 0
    errors: int = 0
    took: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """A service at one moment, in seconds since the epoch: its versions by id, oldest first."""

    at: float
    marks: Mapping[str, Mark]


class History:
    """Looks at every living service every ``EVERY_S`` seconds and keeps it for ``KEPT_S``.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: dict[str, list[Sample]] = {}
        self._next = 0.0

    def look(self) -> None:
        """Take samples if it is time; for the plane's loop to call as often as it likes."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY_S
        taken = {one.id: _sample(one, self._store.traffic(one.id), now) for one in self._store.living()}
        with self._lock:
            self._samples = {
                service_id: _with(self._samples.get(service_id, []), taken.get(service_id), now)
                for service_id in {*self._samples, *taken}
            }
            self._samples = {service_id: kept for service_id, kept in self._samples.items() if kept}

    def of(self, service_id: str) -> list[Sample]:
        """Give the samples of a service, oldest first."""
        with self._lock:
            return list(self._samples.get(service_id, ()))

    def since(self, service_id: str, seconds: float) -> Sample | None:
        """Give the newest sample that is at least so old, or else the oldest; ``None`` if there are none."""
        samples, before = self.of(service_id), self._clock() - seconds
        return next((one for one in reversed(samples) if one.at <= before), samples[0] if samples else None)


def _sample(service: Service, totals: Mapping[str, Mapping[str, Any]], now: float) -> Sample:
    versions = sorted(service.versions, key=lambda version: version.created_at)
    return Sample(now, {v.id: _mark(v.name, v.weight, totals.get(v.id, {})) for v in versions})


def _mark(name: str, weight: int, total: Mapping[str, Any]) -> Mark:
    return Mark(name, weight, total.get("requests", 0), total.get("errors", 0), total.get("took") or {})


def _with(samples: list[Sample], new: Sample | None, now: float) -> list[Sample]:
    """Add a sample, forget the old ones, and of three alike keep the first and the last."""
    kept = [one for one in samples if one.at > now - KEPT_S]
    if new is None:
        return kept
    if len(kept) > 1 and kept[-1].marks == kept[-2].marks == new.marks:
        kept.pop()
    return [*kept, new]
