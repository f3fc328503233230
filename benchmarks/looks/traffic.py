"""What a canary and its primary answer in one situation, look by look, for many runs at once."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

__all__ = ["Counts", "Situation"]

RATE = 0.005
INCIDENT = slice(20, 30)


class Counts(NamedTuple):
    """Requests and bad answers of both, each as runs by looks."""

    canary_n: np.ndarray
    canary_bad: np.ndarray
    primary_n: np.ndarray
    primary_bad: np.ndarray


@dataclass(frozen=True)
class Situation:
    """One row of a table.

    ``canary`` and ``primary`` are mean requests a look; ``ratio`` is how many times worse the canary is than the
    primary, of whose answers 0.5 % are bad. ``incident``: four times as many for ten looks, on both sides.
    ``burst``: bad answers come that many at a time.
    """

    says: str
    ratio: float = 1.0
    canary: int = 120
    primary: int = 1080
    looks: int = 60
    incident: bool = False
    burst: int = 1

    def play(self, runs: int, seed: int) -> Counts:
        """The same counts for the same seed, whatever else is played."""
        random = np.random.default_rng([seed, zlib.crc32(self.says.encode())])
        level = np.full(self.looks, RATE)
        if self.incident:
            level[INCIDENT] *= 4
        columns = []
        for mean, rate in ((self.canary, level * self.ratio), (self.primary, level)):
            n = random.poisson(mean, (runs, self.looks))
            columns += [n, self._bad(random, n, rate)]
        return Counts(*columns)

    def _bad(self, random: np.random.Generator, n: np.ndarray, rate: np.ndarray) -> np.ndarray:
        if self.burst == 1:
            return random.binomial(n, rate)
        return np.minimum(n, self.burst * random.poisson(n * rate / self.burst))
