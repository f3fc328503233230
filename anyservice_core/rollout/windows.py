"""Times of day when a rollout may move forward, and times when it may not.

    windows:
      - {kind: allow, schedule: "0 9 * * mon-thu", duration: 8h, timezone: Europe/London}
      - {kind: deny, schedule: "0 0 20 12 *", duration: 14d, timezone: Europe/London, reason: holidays}

A window opens at each time of its cron ``schedule`` and closes when the wall clock of its ``timezone`` shows
``duration`` later: nine o'clock and eight hours end at five, on the day that the clocks change too. Without
windows for a move it is free. With any that allow it, one of them must be open; an open one that denies
always wins. Only moves forward ask (``Move``): going back is never held up by the time of day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator

from anyservice_core.rollout.duration import Duration
from anyservice_core.rollout.metric import Part

__all__ = ["Closed", "Move", "Window", "WindowKind", "closed"]

_MINUTE = timedelta(minutes=1)
_LONGEST_S = 366 * 86_400.0
_STEPS = 400  # boundaries looked at for the next opening; then nobody would wait for it


class WindowKind(StrEnum):
    """Whether the moves are free while it is open, or while it is not."""

    ALLOW = "allow"
    DENY = "deny"


class Move(StrEnum):
    """The moves that a window can hold up: the deploy, a greater weight, the promotion to 100."""

    START = "start"
    ADVANCE = "advance"
    PROMOTE = "promote"


class Window(Part):
    """A stretch of time that comes back.

    ``kind``: whether the moves are free while it is open (``allow``), or while it is not (``deny``).
    ``schedule``: five cron fields. ``timezone``: an IANA name, in which they are read. ``duration``: seconds, or a text such as
    ``8h``, by the wall clock. ``actions``: the moves that it is about, by default all. ``reason``: shown to
    those who wait.
    """

    kind: WindowKind
    schedule: str
    duration: Annotated[Duration, Field(ge=60, le=_LONGEST_S)]
    timezone: str = "UTC"
    actions: Annotated[tuple[Move, ...], Field(min_length=1)] = tuple(Move)
    reason: str = ""

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        try:
            CronSim(value, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(
                f"{value!r} is no cron schedule ({error}): five fields are needed, as `0 9 * * mon-fri`"
            ) from None
        return value

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(
                f"{value!r} is no time zone: use an IANA name, as Europe/London or UTC"
            ) from None
        return value

    def until(self, at: float) -> float | None:
        """When it closes, if it is open at ``at``; seconds since the epoch."""
        end = _end(self.schedule, self.timezone, self.duration, int(at // 60))
        return end if end is not None and at < end else None

    def opens(self, at: float) -> float:
        """When it opens next after ``at``."""
        return _next_start(self.schedule, self.timezone, int(at // 60))

    def __str__(self) -> str:
        """For people who wait for it."""
        return self.reason or f"{self.schedule} {self.timezone}"


@dataclass(frozen=True, slots=True)
class Closed:
    """A move is not free now. ``opens_at``: seconds since the epoch, ``None`` if not within sight."""

    reason: str
    opens_at: float | None


def closed(windows: Sequence[Window], move: Move, at: float) -> Closed | None:
    """Why ``move`` may not be made at ``at``, or ``None`` when it may."""
    about = [window for window in windows if move in window.actions]
    barrier = _barrier(about, at)
    if barrier is None:
        return None
    opens = next((time for time in _boundaries(about, at) if _barrier(about, time) is None), None)
    return Closed(barrier, opens)


def _barrier(about: Sequence[Window], at: float) -> str | None:
    for window in about:
        if window.kind is WindowKind.DENY and window.until(at) is not None:
            return f"denied: {window}"
    allowed = [window for window in about if window.kind is WindowKind.ALLOW]
    if not allowed or any(window.until(at) is not None for window in allowed):
        return None
    return f"outside of {' and '.join(str(window) for window in allowed)}"


def _boundaries(about: Sequence[Window], at: float) -> Iterator[float]:
    """The times after ``at`` at which a window opens or closes, in order."""
    for _ in range(_STEPS):
        at = min(moment for window in about for moment in (window.until(at), window.opens(at)) if moment)
        yield at


# Asked at every look and in every test of the table, so answered once a minute.


@lru_cache(maxsize=4096)
def _end(schedule: str, timezone: str, duration: float, minute: int) -> float | None:
    """When the latest window that began at or before ``minute`` ends."""
    now = datetime.fromtimestamp(minute * 60, ZoneInfo(timezone))
    start = next(CronSim(schedule, now + _MINUTE, reverse=True), None)
    return (start + timedelta(seconds=duration)).timestamp() if start else None


@lru_cache(maxsize=4096)
def _next_start(schedule: str, timezone: str, minute: int) -> float:
    now = datetime.fromtimestamp(minute * 60, ZoneInfo(timezone))
    return next(CronSim(schedule, now)).timestamp()  # there is one: cron refuses dates that never come
