"""Is the canary worse than the primary? A test that may be looked at whenever one likes.

The question. Both versions answer users at the same time, each a share of them, and some
answers are bad. Is the canary's rate of bad answers more than ``max_ratio`` times the
primary's? We look every few seconds and want to stop as soon as we know, so an ordinary test
(Fisher, chi-square) is out: looked at sixty times, it condemns one innocent canary in five.

The test. Take a short window of time in which the canary answered ``n_c`` requests and the
primary ``n_p``. *Given* that an answer in it is bad, it is the canary's with probability

    share(r) = r * n_c / (r * n_c + n_p)

when the canary's rate is ``r`` times the primary's. The level of errors itself, unknown and
never steady, has cancelled out: an incident that hits both sides says nothing against either,
and the split of the traffic may differ in every window. For each ``r`` of a small grid of
alternatives, the likelihood of what was seen under ``r`` over that under the tolerated ratio,
multiplied over the windows, is a test martingale, and so is the average over the grid. By
Ville's inequality it ever exceeds ``1 / alpha`` with probability at most ``alpha`` if the
canary keeps to the tolerated ratio: whenever, and however often, one looks.

The same martingale turned round (alternatives below ``max_ratio``) is evidence that the canary
is *not* that much worse. A service without errors gives it nothing to count, so a second way to
pass exists: evidence that the canary's own rate is below ``max_rate``, from its own counts.

What it rests on. Exact for Poisson counts, and for a tolerated ratio of 1 also for plain
requests; for ratios up to 3 an approximation whose errors stayed below their nominal size in
simulation. Bad answers must come one by one: retry storms clump them, and ``dispersion``, the
factor by which the counts scatter more than chance would, tempers every likelihood to make up
for it. Windows are kept apart and never summed over steps: sums over different splits are
Simpson's paradox (a rising error level and a rising weight condemn every canary).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import exp, log, log1p
from typing import NamedTuple

__all__ = [
    "ABOVE",
    "BELOW",
    "BETTER",
    "CLUMP",
    "DOUBT",
    "WORSE",
    "Window",
    "dispersion",
    "log_evidence",
    "log_evidence_of_rate",
    "total",
]

# Alternatives, as multiples of what is tolerated. Wide, since a broken build errs a hundredfold.
WORSE = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
# Ratios of canary to primary that count as fine; those not below the tolerated ratio are left out.
BETTER = (1.0, 0.75, 0.5, 0.25)
# The canary's own rate, as multiples of ``max_rate``: fine, and not fine.
BELOW = (0.0, 0.1, 0.25, 0.5)
ABOVE = (1.5, 2.0, 5.0, 10.0)
# What is assumed of the scatter until it is known: clumps of five, with the weight of one pair of windows.
CLUMP = 5.0
DOUBT = 1.0
# A difference beyond five sigma says that the level has moved, and no more about the scatter than this.
JUMP = 25.0


class Window(NamedTuple):
    """What both versions answered in one short while: requests, and how many of them were bad."""

    canary_n: int
    canary_bad: int
    primary_n: int
    primary_bad: int


def log_evidence(
    windows: Iterable[Window], null_ratio: float, ratios: Sequence[float], scatter: float = 1.0
) -> float:
    """Natural logarithm of the evidence for ``ratios`` against ``null_ratio``; 0 says nothing.

    ``scatter`` is the dispersion, 1 or more. Windows in which one side got no request count nothing.
    """
    score = [0.0] * len(ratios)
    for canary_n, canary_bad, primary_n, primary_bad in windows:
        if canary_n <= 0 or primary_n <= 0:
            continue
        h0 = _share(null_ratio, canary_n, primary_n)
        for k, ratio in enumerate(ratios):
            h1 = _share(ratio, canary_n, primary_n)
            score[k] += canary_bad * log(h1 / h0) + primary_bad * log((1 - h1) / (1 - h0))
    return _mean([value / scatter for value in score])


def _share(ratio: float, canary_n: int, primary_n: int) -> float:
    return ratio * canary_n / (ratio * canary_n + primary_n)


def log_evidence_of_rate(
    windows: Iterable[Window], null_rate: float, multiples: Sequence[float], scatter: float = 1.0
) -> float:
    """Natural logarithm of the evidence that the canary's own rate is one of ``multiples`` of ``null_rate``.

    The alternatives are rates below (or above) ``null_rate``; only the canary's counts matter.
    """
    bad, good = 0, 0
    for window in windows:
        bad += window.canary_bad
        good += window.canary_n - window.canary_bad
    rates = [min(null_rate * multiple, _CERTAIN) for multiple in multiples]
    return _mean([_rate_score(rate, null_rate, bad, good) / scatter for rate in rates])


_CERTAIN = 1 - 1e-9


def _rate_score(rate: float, null_rate: float, bad: int, good: int) -> float:
    if rate == 0.0 and bad:
        return _IMPOSSIBLE
    of_bad = bad * log(rate / null_rate) if bad else 0.0
    return of_bad + good * (log1p(-rate) - log1p(-null_rate))


_IMPOSSIBLE = -1e9


def _mean(scores: Sequence[float]) -> float:
    """The logarithm of the mean of ``exp(score)``, without overflow."""
    top = max(scores)
    return top + log(sum(exp(score - top) for score in scores) / len(scores))


def dispersion(windows: Sequence[Window], *, doubt: float = DOUBT) -> float:
    """How much more bad answers scatter than chance would: 1 for chance, 5 for clumps of five.

    The mean, over neighbouring windows of either side, of the squared difference of their rates in units of
    what chance allows. Neighbours only, and no single difference beyond all bounds: a level that moves in
    the course of an hour, or in one incident, is no scatter. Both sides count, since a primary without
    errors shows nothing; a canary whose errors clump is believed the more slowly for it, never excused.
    ``doubt`` is how many pairs of clumps of five are assumed before any is seen, since too little is known at
    first. Never below 1.
    """
    pairs = [pair for a, b in pairwise(windows) for pair in ((a[:2], b[:2]), (a[2:], b[2:]))]
    seen = [surprise for a, b in pairs if (surprise := _surprise(*a, *b)) is not None]
    weight = len(seen) + doubt
    return max(1.0, (sum(seen) + doubt * CLUMP) / weight) if weight else 1.0


def _surprise(n: int, bad: int, next_n: int, next_bad: int) -> float | None:
    """The squared difference of two rates over its variance by chance; ``None`` when nothing was bad."""
    all_bad, all_n = bad + next_bad, n + next_n
    if not all_bad or all_bad == all_n or not n or not next_n:
        return None
    rate = all_bad / all_n
    difference = bad / n - next_bad / next_n
    return min(JUMP, difference**2 / (rate * (1 - rate) * (1 / n + 1 / next_n)))


def total(windows: Iterable[Window]) -> Window:
    """All windows of one step as one, to be shown to people; never to be tested."""
    columns = tuple(zip(*windows, strict=True)) or ((),) * 4
    return Window(*map(sum, columns))
