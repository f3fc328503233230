"""Time to places across the page."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from anyservice_core.rollout.facts import clock
from anyservice_core.rollout.history import Span

__all__ = ["Scale"]

_QUIET: Final = 0.25  # a wait that is longer than this share of all that happened is drawn short
_SHORT: Final = 0.12
_EVERY_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200)
_DAY_S: Final = 86_400
_TICKS: Final = 7
_APART: Final = 12.0


@dataclass(frozen=True, slots=True)
class Scale:
    """Time to percent of the width. Where hours were waited and minutes counted, the hours are drawn short."""

    times: Sequence[float]
    places: Sequence[float]
    cuts: Sequence[Span] = ()

    @classmethod
    def of(cls, start: float, end: float, quiet: Iterable[Span] = ()) -> Scale:
        """All from ``start`` to ``end``; of the ``quiet`` spans, the long ones short."""
        end = max(end, start + 1.0)
        spans = list(_merged(Span(max(q.start, start), min(q.end, end)) for q in quiet))
        busy = max(end - start - sum(q.end - q.start for q in spans), 0.02 * (end - start))
        cuts = [q for q in spans if q.end - q.start > _QUIET * busy]
        times, places = [start], [0.0]
        for cut in cuts:
            times += [cut.start, cut.end]
            before = places[-1] + cut.start - times[-3]
            places += [before, before + _SHORT * busy]
        times.append(end)
        places.append(places[-1] + end - times[-2])
        return cls(times, [100 * place / places[-1] for place in places], cuts)

    def x(self, at: float) -> float:
        """The place of a moment, 0 to 100."""
        right = min(max(bisect_right(self.times, at), 1), len(self.times) - 1)
        left = right - 1
        width = self.times[right] - self.times[left]
        share = (at - self.times[left]) / width if width else 0.0
        place = self.places[left] + min(max(share, 0.0), 1.0) * (self.places[right] - self.places[left])
        return round(place, 2)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Places and times of day, a handful, none of them in a stretch that is drawn short."""
        busy = sum(b - a for a, b in pairwise(self.times)) - sum(cut.end - cut.start for cut in self.cuts)
        every = next(
            (one for one in _EVERY_S if busy / one <= _TICKS), _DAY_S * math.ceil(busy / _DAY_S / _TICKS)
        )
        how = "%H:%M:%S" if every < 60 else "%H:%M" if every < _DAY_S else "%d %b"
        last = -_APART
        for at in self._round_times(every):
            x = self.x(at)
            if x - last >= _APART and 2 <= x <= 98:
                yield x, clock(at, how)
                last = x

    def _round_times(self, every: float) -> Iterator[float]:
        bounds = [self.times[0], *(edge for cut in self.cuts for edge in cut[:2]), self.times[-1]]
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            first = math.ceil(start / every)
            yield from (every * number for number in range(first, math.floor(end / every) + 1))


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    last: Span | None = None
    for one in sorted(one for one in spans if one.end > one.start):
        if last is not None and one.start <= last.end:
            last = Span(last.start, max(last.end, one.end))
            continue
        if last is not None:
            yield last
        last = one
    if last is not None:
        yield last
