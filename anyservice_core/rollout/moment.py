"""Moments as people write them: ``2026-11-27T14:00``, ``2h`` (ago), ``now``."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from anyservice_core.rollout.duration import parse_duration

__all__ = ["parse_moment"]

_HOW = (
    "write 2026-11-27T14:00 (UTC, unless it ends in an offset such as +01:00), or how long ago it was, as 2h"
)


def parse_moment(value: object, now: float) -> float:
    """Whole seconds since the epoch: of a date and time in ISO 8601, or a while before ``now``.

    A time without an offset is UTC. A bare number is seconds ago, like any duration. Raises ``ValueError``.
    """
    if isinstance(value, datetime):
        return _since_the_epoch(value)
    text = str(value).strip()
    if text.lower() == "now":
        return math.floor(now)
    try:
        return math.floor(now - parse_duration(value))
    except ValueError:
        pass
    try:
        return _since_the_epoch(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(f"{value!r} is no time: {_HOW}") from None


def _since_the_epoch(moment: datetime) -> float:
    return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
