"""What is right about an answer and what is not, and the figures of a whole run. Pure.

Each answer names the code that gave it. A request may be answered by whatever was allowed at some moment
between its start and its end. ``History`` is told *before* something is asked of the plane that it may happen from now on,
and *after* the plane has said so that it is so from now on; in between, old and new are right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles

from tests.plane.chaos.traffic import Record

__all__ = ["History", "Kill", "Verdict", "judge", "table"]

# Answers that the router gave because whoever had the request was killed, or the connection that then broke.
_CUT = ("502", "WireError", "ConnectionResetError", "IncompleteReadError")


@dataclass
class History:
    """Which code might answer from when on, and which is behind a version's id."""

    allowed: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    tags: dict[str, set[str]] = field(default_factory=dict)

    def allow(self, now: float, *tags: str) -> None:
        self.allowed.append((now, frozenset(tags)))

    def name(self, version: str, tag: str) -> None:
        self.tags.setdefault(version, set()).add(tag)

    def at(self, since: float, until: float) -> set[str]:
        before = [tags for when, tags in self.allowed if when <= since][-1:]
        return {
            tag for tags in (*before, *(t for w, t in self.allowed if since < w <= until)) for tag in tags
        }


@dataclass(frozen=True)
class Kill:
    """Processes were killed, all of them between ``begun`` and ``done``: what was under way there is lost.

    Where nobody else was there to serve, that goes for all that came until somebody was, so ``done`` is then.
    """

    what: str
    begun: float
    done: float

    def excuses(self, record: Record) -> bool:
        return record.due <= self.done and record.ended >= self.begun


@dataclass
class Verdict:
    sent: Counter[str] = field(default_factory=Counter)
    dropped: list[Record] = field(default_factory=list)
    wrong: list[tuple[Record, str]] = field(default_factory=list)
    cut: dict[str, list[Record]] = field(default_factory=dict)
    took_ms: dict[str, list[float]] = field(default_factory=dict)


def judge(records: Iterable[Record], history: History, kills: Sequence[Kill] = ()) -> Verdict:
    verdict = Verdict()
    for record in records:
        verdict.sent[record.kind] += 1
        verdict.took_ms.setdefault(record.kind, []).append(record.took_ms)
        if record.error or record.status not in {200, 101}:
            kill = next((kill for kill in kills if kill.excuses(record)), None)
            if kill:
                verdict.cut.setdefault(kill.what, []).append(record)
            else:
                verdict.dropped.append(record)
        elif why := _wrong(record, history):
            verdict.wrong.append((record, why))
    return verdict


def _wrong(record: Record, history: History) -> str:
    if record.kind == "open":
        return ""
    if record.tag not in history.tags.get(record.version, set()):
        return f"{record.tag} answered for {record.version}"
    if record.pin and record.pin != record.version:
        return f"{record.version} answered for {record.pin}"
    if record.pin or record.kind == "talk":  # a websocket stays where it was opened
        return ""
    allowed = history.at(record.due, record.ended)
    return "" if record.tag in allowed else f"{record.tag} answered where {sorted(allowed)} might"


def table(verdict: Verdict) -> list[tuple[str, int, str, str, str]]:
    """Give rows of kind, requests, and the milliseconds that half, 99 % and all of them took at most."""
    kinds: Mapping[str, list[float]] = verdict.took_ms
    return [(kind, verdict.sent[kind], *_spread(times)) for kind, times in sorted(kinds.items())]


def _spread(times: Sequence[float]) -> tuple[str, str, str]:
    cuts = quantiles(times, n=100, method="inclusive") if len(times) > 1 else [*times] * 99
    return f"{cuts[49]:.1f}", f"{cuts[98]:.1f}", f"{max(times):.0f}"
