"""The product's judge, as it is; and the same sums in numpy, for as many runs as a percentage needs.

``Ours.many`` is quick and is no more than a copy, so ``Ours.product`` is asked about some of the very same runs:
it must come to the same end at the same look, or the copy is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import NamedTuple

import numpy as np

from anyservice_core.metrics import Count, Increase
from anyservice_core.rollout import RolloutPlan
from anyservice_core.rollout.evidence import BETTER, CLUMP, DOUBT, JUMP, WORSE
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.judge import judge
from anyservice_core.rollout.report import Phase
from anyservice_core.rollout.tally import _MAX_WINDOWS, Tally, record
from looks.traffic import Counts

__all__ = ["Ends", "Ours"]

NAME = "errors"
ROUNDED, MOST = 0.001, 20.0  # how the product shows evidence, and the logarithm above which it shows no more


class Ends(NamedTuple):
    """At which look each run was first found worse, at which it first passed, and the last evidence for worse."""

    failed: np.ndarray
    passed: np.ndarray
    evidence: np.ndarray

    def agree(self, other: Ends) -> bool:
        """Whether both say the same of the same runs."""
        looks = zip(self[:2], other[:2], strict=True)
        same = all(np.array_equal(mine, theirs, equal_nan=True) for mine, theirs in looks)
        return same and np.allclose(self.evidence, other.evidence, rtol=1e-6, atol=ROUNDED)

    def of(self, runs: int) -> Ends:
        return Ends(*(column[:runs] for column in self))


@dataclass(frozen=True)
class Ours:
    """The comparison as a plan of so many steps asks for it; the canary is at the first of them."""

    max_ratio: float
    dispersion: float | str
    steps: int = 1
    confidence: float = 0.95

    @cached_property
    def plan(self) -> RolloutPlan:
        compare = {"max_ratio": self.max_ratio, "max_rate": None, "confidence": self.confidence}
        metric = {
            "name": NAME,
            "provider": "router",
            "compare": {**compare, "dispersion": self.dispersion},
        }
        return RolloutPlan.parse({"steps": list(range(10, 10 + self.steps)), "metrics": [metric]})

    # ── the product ──

    def product(self, counts: Counts) -> Ends:
        """Reading by reading through tally and judge."""
        ends = [self._run(zip(*run, strict=True)) for run in zip(*counts, strict=True)]
        return Ends(*np.array(ends).T)

    def _run(self, windows: Iterator[tuple[int, ...]]) -> tuple[float, ...]:
        (metric,) = self.plan.metrics
        tally, ends = Tally(), {}
        journal = Journal(rollout_key="k", version_name="v", weight=self.plan.first_weight)
        for look, (canary_n, canary_bad, primary_n, primary_bad) in enumerate(windows, start=1):
            reading = Increase(Count(int(canary_n), int(canary_bad)), Count(int(primary_n), int(primary_bad)))
            tally = record(metric, tally, reading, float(look))
            verdict = judge(self.plan, journal.replace(tallies={NAME: tally}))
            finding = next(finding for finding in verdict.findings if finding.metric == NAME)
            ends.setdefault(finding.phase, look)
        failed, passed = (ends.get(phase, np.nan) for phase in (Phase.FAILED, Phase.SUCCESSFUL))
        return failed, passed, finding.numbers["evidence"]

    # ── the copy ──

    def many(self, counts: Counts) -> Ends:
        """All runs at once, look by look."""
        runs, looks = counts.canary_n.shape
        bars = log(self.steps / (1 - self.confidence)), log(1 / (1 - self.confidence))
        grids = ([self.max_ratio * r for r in WORSE], [r for r in BETTER if r < self.max_ratio])
        failed, passed = np.full(runs, np.nan), np.full(runs, np.nan)
        books = [_Book(self.max_ratio, grid) for grid in grids]
        scatter = _Scatter(self.dispersion)
        windows: list[np.ndarray] = []
        for look in range(looks):
            windows.append(np.stack([column[:, look] for column in counts]))
            added = windows[-1:]
            if len(windows) > _MAX_WINDOWS:
                windows = added = [sum(windows[i : i + 2]) for i in range(0, len(windows), 2)]
                books, scatter = [book.empty() for book in books], _Scatter(self.dispersion)
            for window in added:
                scatter.add(window)
                for book in books:
                    book.add(window)
            by = scatter.value()
            for end, book, bar in zip((failed, passed), books, bars, strict=True):
                end[np.isnan(end) & (book.evidence(by) >= bar)] = look + 1
        passed[passed == failed] = np.nan  # one look says one thing, the worse one
        return Ends(failed, passed, np.exp(np.minimum(books[0].evidence(by), MOST)))


class _Book:
    """The scores of one grid of ratios: runs by ratios."""

    def __init__(self, null: float, grid: list[float]) -> None:
        self.null, self.grid = null, grid
        self.scores: np.ndarray | float = 0.0

    def empty(self) -> _Book:
        return _Book(self.null, self.grid)

    def add(self, window: np.ndarray) -> None:
        canary_n, canary_bad, primary_n, primary_bad = window[:, :, None]
        both = (canary_n > 0) & (primary_n > 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            h0, h1 = (r * canary_n / (r * canary_n + primary_n) for r in (self.null, np.array(self.grid)))
            score = canary_bad * np.log(h1 / h0) + primary_bad * np.log((1 - h1) / (1 - h0))
        self.scores = self.scores + np.where(both, score, 0.0)

    def evidence(self, scatter: np.ndarray | float) -> np.ndarray:
        scores = self.scores / np.reshape(scatter, (-1, 1))
        top = scores.max(axis=1)
        return top + np.log(np.exp(scores - top[:, None]).mean(axis=1))


class _Scatter:
    """The dispersion of each run, learnt as the windows come."""

    def __init__(self, given: float | str) -> None:
        self.given = given
        self.last: np.ndarray | None = None
        self.sum: np.ndarray | float = DOUBT * CLUMP
        self.weight: np.ndarray | float = DOUBT

    def add(self, window: np.ndarray) -> None:
        if self.last is not None:
            for side in (slice(0, 2), slice(2, 4)):
                self._pair(self.last[side], window[side])
        self.last = window

    def _pair(self, before: np.ndarray, after: np.ndarray) -> None:
        (n, bad), (next_n, next_bad) = before, after
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = (bad + next_bad) / (n + next_n)
            chance = rate * (1 - rate) * (1 / n + 1 / next_n)
            surprise = np.minimum(JUMP, (bad / n - next_bad / next_n) ** 2 / chance)
        said = (rate > 0) & (rate < 1) & (n > 0) & (next_n > 0)
        self.sum = self.sum + np.where(said, surprise, 0.0)
        self.weight = self.weight + said

    def value(self) -> np.ndarray | float:
        return self.given if self.given != "auto" else np.maximum(1.0, self.sum / self.weight)
