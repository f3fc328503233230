"""The books on traffic: the router's raw counters, added up per version.

HAProxy counts per seat and from zero after each reload; users ask per version and since it was
attached. The ledger keeps, for every seat, the last raw reading and which life of the router it
came from, and adds the difference to the version that sat there. Both are in the store, so totals
go on over reloads and over the plane's own death. What is lost is what an old router process counts
after its last reading: the requests under way when it handed over.

What the store fails to take, on a full disk for instance, stays owed in memory and is entered with the next reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from anyservice_core.plane.router.routes import Slot
from anyservice_core.plane.router.tally import SlotCounters, told_apart
from anyservice_core.plane.store import Store

__all__ = ["Ledger", "difference"]

_MARKS = "traffic-marks"


class Ledger:
    """Adds readings up in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._marks: dict[str, dict[str, Any]] = store.recall(_MARKS) or {}
        # By service and version. A seat may have changed hands by the next reading, so it is known only now whose it is.
        self._owed: dict[str, dict[str, dict[str, int]]] = {}

    def enter(self, counters: Iterable[SlotCounters], seats: Mapping[tuple[str, Slot], str]) -> None:
        """Enter one reading. ``seats`` says which version sat where, as (service id, slot)."""
        for counter in counters:
            gained = self._gained(counter)
            version_id = seats.get((counter.service_id, counter.slot))
            if version_id and any(gained.values()):
                owed = self._owed.setdefault(counter.service_id, {})
                owed[version_id] = _sum(owed.get(version_id, {}), gained)
        if self._owed:
            self._pay()

    def _pay(self) -> None:
        """Write down what is owed and, with it, up to where the counters were read: all of it or none."""
        with self._store.transaction():
            for service_id, gains in self._owed.items():
                totals = self._store.traffic(service_id)
                self._store.save_traffic(
                    service_id, {v: _added(totals.get(v, {}), gained) for v, gained in gains.items()}
                )
            self._store.remember(_MARKS, self._marks)
        self._owed = {}

    def _gained(self, counter: SlotCounters) -> dict[str, int]:
        key = f"{counter.service_id}/{counter.slot}"
        mark = self._marks.get(key, {})
        same_life = mark.get("incarnation") == counter.incarnation
        counts = {**counter.responses, **counter.took}
        gained = difference(counts, mark.get("responses", {}) if same_life else {})
        self._marks[key] = {"incarnation": counter.incarnation, "responses": counts}
        return gained


def difference(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Give what was gained; a count that fell was started anew, so all of it is gain."""
    return {key: n - before.get(key, 0) if n >= before.get(key, 0) else n for key, n in now.items()}


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {**one, **{key: one.get(key, 0) + n for key, n in other.items()}}


def _added(total: Mapping[str, Any], gained: Mapping[str, int]) -> dict[str, Any]:
    before = {**total.get("responses", {}), **total.get("took", {})}
    responses, took = told_apart(_sum(before, gained))
    return {
        "took": took,
        "requests": sum(responses.values()),
        "errors": responses.get("5xx", 0) + responses.get("none", 0),
        "responses": responses,
    }
