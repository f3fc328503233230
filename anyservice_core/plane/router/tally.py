"""The router's counters, added up so that neither a reload nor a dead process loses any.

HAProxy counts from zero in each worker. The tally keeps the last reading of every worker that lives
(``seen``) and adds what was gained since to the total of the seat. While an old worker finishes its
requests it is read as well, and once it has gone, its last reading has been added already. Totals
and readings are kept in one file, so a plane that dies between two readings counts nothing twice
and misses nothing.

What may be lost: what a worker counts between its last reading and its end. A killed HAProxy loses
what came since the plane last read, a quarter of a second as a rule. An old worker ends by itself as
soon as its last client has gone, so the router holds it by a connection of its own until it was read
once more with nothing left to do. That hold ends after 30 s, or with the plane: a request that was under
way at a reload and takes longer than that may go uncounted.

When another version takes a seat, its total starts at zero with another ``incarnation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from anyservice_core.plane.router.config import BUCKETS_MS
from anyservice_core.plane.router.routes import Slot

__all__ = [
    "TOOK",
    "Counts",
    "Reading",
    "SlotCounters",
    "Tally",
    "Total",
    "attach",
    "counted",
    "fold",
    "told_apart",
]

Counts: TypeAlias = Mapping[str, int]
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
TOOK = (*(f"le_{ms}" for ms in BUCKETS_MS), "count", "sum_ms")


@dataclass(frozen=True)
class SlotCounters:
    """The traffic of one seat since its present version was attached to it.

    ``responses`` counts by class, ``2xx`` and so on; ``none`` are the requests that the version was
    given and did not answer: it broke off, took too long or refused the connection. A refused request
    that the other seat then answered counts here as ``none`` and there by its answer. A response that
    broke off in its body counts by its status, and as ``none`` too: its user has no answer. ``sessions`` are the requests under way. ``took`` counts the
    answers that began within so many milliseconds: ``le_5`` and so on, ``count`` all, ``sum_ms`` their times.
    """

    service_id: str
    slot: Slot
    incarnation: str
    sessions: int
    responses: Counts
    took: Counts = field(default_factory=dict)

    @property
    def errors(self) -> int:
        return self.responses.get("5xx", 0) + self.responses.get("none", 0)

    @property
    def requests(self) -> int:
        return sum(self.responses.values())


@dataclass(frozen=True)
class Reading:
    """What one worker counted from its start, and what it is busy with, by ``service/slot``."""

    worker: str
    counts: Mapping[str, Counts]
    sessions: Counts


@dataclass(frozen=True)
class Total:
    version_id: str
    incarnation: str
    responses: Counts = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """``totals`` by seat; ``seen``: the last counts of each living worker, by seat."""

    totals: Mapping[str, Total] = field(default_factory=dict)
    seen: Mapping[str, Mapping[str, Counts]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tally:
        totals = {seat: Total(**total) for seat, total in data.get("totals", {}).items()}
        return cls(totals, data.get("seen", {}))


def counted(stat: Mapping[str, str], unanswered: int, took: Sequence[int] = ()) -> dict[str, int]:
    """Give the counts of a seat from its line in ``show stat`` and its entries in the two tables.

    ``unanswered`` are the answers that HAProxy made up. It makes up none where it gave the request to the other seat
    (``wredis``), nor where a connection that had been used before broke off, or any in the midst of a body (``srv_abrt``).
    """
    classes = {name: int(stat.get(f"hrsp_{name}") or 0) for name in CLASSES}
    silent = sum(int(stat.get(name) or 0) for name in ("wredis", "srv_abrt"))
    answered = {**classes, "none": unanswered + silent}
    return {**answered, **dict(zip(TOOK, took, strict=False))}


def told_apart(counts: Counts) -> tuple[dict[str, int], dict[str, int]]:
    """Give the answers by class, and how long they took."""
    took = {name: n for name, n in counts.items() if name in TOOK}
    return {name: n for name, n in counts.items() if name not in TOOK}, took


def fold(tally: Tally, readings: list[Reading]) -> Tally:
    """Add what the workers counted since they were last read; forget the workers that have gone."""
    totals = dict(tally.totals)
    for reading in readings:
        before = tally.seen.get(reading.worker, {})
        for seat, counts in reading.counts.items():
            if seat in totals:
                gained = _difference(counts, before.get(seat, {}))
                total = totals[seat]
                totals[seat] = Total(total.version_id, total.incarnation, _sum(total.responses, gained))
    # A seat that a garbled answer left out keeps its last reading, or all of it would be counted again.
    seen = {r.worker: {**tally.seen.get(r.worker, {}), **r.counts} for r in readings}
    return Tally(totals, seen)


def attach(tally: Tally, versions: Mapping[str, str], mint: Callable[[], str]) -> Tally:
    """Begin anew at each seat that another version takes; ``mint`` gives a new incarnation's mark."""
    totals = {
        seat: known
        if (known := tally.totals.get(seat)) and known.version_id == version_id
        else Total(version_id, mint())
        for seat, version_id in versions.items()
    }
    return Tally(totals, tally.seen)


def _difference(now: Counts, before: Counts) -> dict[str, int]:
    return {name: max(0, n - before.get(name, 0)) for name, n in now.items()}


def _sum(one: Counts, other: Counts) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {*one, *other}}
