"""The measurements of one metric, made ready to be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

from anyservice_core.rollout.facts import clock
from anyservice_core.rollout.history import History, Measured
from anyservice_core.rollout.page.scale import Scale

__all__ = ["Series", "Window", "by_step", "moods"]

_MOST: Final = 120  # stripes of a drawing: measurements in one of them are drawn as one
_COUNTS: Final = ("canary_requests", "canary_bad", "primary_requests", "primary_bad")
_MOODS: Final = {"failed": "bad", "inconclusive": "warn", "successful": "good"}


@dataclass(frozen=True, slots=True)
class Series:
    """What one metric brought. ``id`` is its own in the page; ``scale`` is that of the whole rollout."""

    id: str
    name: str
    points: Sequence[Measured]
    known: History
    scale: Scale

    @property
    def plan(self) -> Mapping[str, Any]:
        """What the plan says of it, as plain values."""
        return self.known.metric(self.name)

    def has(self, number: str) -> bool:
        return any(number in point.numbers for point in self.points)

    @property
    def last(self) -> str:
        """The last verdict, for those who do not see the drawing."""
        return f"Last: {self.points[-1].message}" if self.points else "Nothing was measured."

    def thinned(self) -> list[Measured]:
        """One for each stripe of the drawing, the last, since it says what the others said too.

        The last window of a step is often a short one, and its share mere chance: it is joined with the one before.
        """
        stripes = groupby(self.points, key=lambda p: (p.step, int(self.scale.x(p.at) * _MOST / 100)))
        kept = [list(group)[-1] for _, group in stripes]
        return [point for step in by_step(kept) for point in _without_rest(step)]

    def windows(self) -> Iterator[Window]:
        """The numbers are sums since the step began, so a window is the difference of two."""
        for step in by_step(self.thinned()):
            since, before = step[0].began, dict.fromkeys(_COUNTS, 0.0)
            for point in step:
                now = {name: point.numbers.get(name, before[name]) for name in _COUNTS}
                yield Window(point, since, *(max(0.0, now[name] - before[name]) for name in _COUNTS))
                since, before = point.at, now


class Window(NamedTuple):
    """What both versions answered between two measurements."""

    point: Measured
    since: float
    canary_n: float
    canary_bad: float
    primary_n: float
    primary_bad: float

    def asked(self, side: str) -> float:
        return self.canary_n if side == "canary" else self.primary_n

    def share(self, side: str) -> float | None:
        """The share of bad answers; ``None`` where there was no request."""
        n, bad = self.asked(side), self.canary_bad if side == "canary" else self.primary_bad
        return bad / n if n else None

    def pace(self, side: str) -> float:
        """Requests a second."""
        return self.asked(side) / max(self.point.at - self.since, 1.0)

    @property
    def tip(self) -> str:
        return (
            f"{clock(self.point.at)}: canary {self.canary_bad:.0f} bad of {self.canary_n:.0f}, "
            f"primary {self.primary_bad:.0f} bad of {self.primary_n:.0f}"
        )


def by_step(points: Sequence[Measured]) -> list[list[Measured]]:
    return [list(group) for _, group in groupby(points, key=lambda point: point.step)]


def _without_rest(step: Sequence[Measured]) -> Sequence[Measured]:
    if len(step) < 3:
        return step
    third, second, last = (point.at for point in step[-3:])
    return [*step[:-2], step[-1]] if last - second < (second - third) / 2 else step


def moods(points: Sequence[Measured]) -> Iterator[str]:
    """What each measurement said by itself: the counter that has grown since the one before tells."""
    for step in by_step(points):
        before: Mapping[str, float] = {}
        for point in step:
            grown = (m for name, m in _MOODS.items() if point.numbers.get(name, 0.0) > before.get(name, 0.0))
            yield "none" if point.trouble else next(grown, "none")
            before = point.numbers
