"""From what can be seen of a host to a state: one pure function.

seen                                          state
never started, or stopped to the end          GONE
it said, or we found, that it cannot start    FAILED     stays so until it is stopped
its leader is dead                            GONE       with the end of its log
it answers                                    its word   STARTING past the deadline: FAILED
silent, a short while                         what it was last: a busy machine is no illness
silent, long                                  STARTING before it ever served, then UNHEALTHY
"""

from __future__ import annotations

from dataclasses import dataclass

from .base import EngineState, Observed

__all__ = ["SILENCE_S", "Seen", "judge"]

SILENCE_S = 20.0


@dataclass(frozen=True)
class Seen:
    """What an engine can see of one host at one moment; durations in seconds."""

    known: bool = True
    alive: bool = True
    failure: str | None = None
    answer: Observed | None = None
    last: Observed | None = None
    address: tuple[str, int] | None = None  # where it served when it first was ready
    age_s: float = 0.0
    silent_s: float = 0.0
    start_deadline_s: float = 300.0
    death: str = ""


def judge(seen: Seen) -> Observed:
    if not seen.known:
        return Observed(EngineState.GONE, message="nothing runs")
    if seen.failure is not None:
        return Observed(EngineState.FAILED, message=seen.failure)
    if not seen.alive:
        return Observed(EngineState.GONE, message=seen.death)
    if seen.address is None and seen.age_s > seen.start_deadline_s:
        return Observed(EngineState.FAILED, message=_too_late(seen))
    return seen.answer or _silent(seen)


def _too_late(seen: Seen) -> str:
    latest = seen.answer or seen.last
    said = f"; last word: {latest.message}" if latest and latest.message else ""
    return f"did not come up within {seen.start_deadline_s:g} s{said}"


def _silent(seen: Seen) -> Observed:
    if seen.address is None:
        return seen.last or Observed(EngineState.STARTING, message="starting its host")
    if seen.silent_s < SILENCE_S:
        return seen.last or Observed(EngineState.RUNNING, seen.address)
    message = f"its host has not answered for {seen.silent_s:.0f} s"
    capacity = seen.last.capacity if seen.last else None
    return Observed(EngineState.UNHEALTHY, seen.address, message, capacity=capacity)
