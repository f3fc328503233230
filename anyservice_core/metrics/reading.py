"""What one measurement brings back, and of what it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Count", "Increase", "Level", "Reading", "Target", "Totals", "Unreadable"]


@dataclass(frozen=True, slots=True)
class Count:
    """Requests answered, and how many of the answers were bad."""

    requests: int
    bad: int


@dataclass(frozen=True, slots=True)
class Level:
    """One number; ``None`` when the source has nothing to say (no data, which is not an outage)."""

    value: float | None


@dataclass(frozen=True, slots=True)
class Increase:
    """What both versions answered since the last measurement."""

    canary: Count
    primary: Count


@dataclass(frozen=True, slots=True)
class Totals:
    """What both versions answered since they came up: counters that only grow, until a restart."""

    canary: Count
    primary: Count


@dataclass(frozen=True, slots=True)
class Unreadable:
    """It could not be measured, which says nothing about the canary. ``why`` is for people."""

    why: str


Reading: TypeAlias = Level | Increase | Totals | Unreadable


@dataclass(frozen=True, slots=True)
class Target:
    """Which two versions a measurement is about, and how far back it may look, in seconds."""

    service_id: str
    canary_id: str
    canary_name: str
    primary_id: str
    primary_name: str
    window_s: float
