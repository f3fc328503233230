"""A clock that a test holds in its hand."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Clock"]


@dataclass
class Clock:
    """Tells ``now``, in seconds since the epoch, until the test sets it on."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now
