"""What others do: a test made for one look, a fixed threshold, a rank test every ten minutes."""

from __future__ import annotations

import numpy as np
from scipy import stats

from looks.traffic import Counts

__all__ = ["above", "first", "fisher", "mann_whitney"]

TOO_MANY = 0.015
EVERY = 10


def first(hits: np.ndarray) -> np.ndarray:
    """The first look, from 1, at which it was so."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.nan)


def fisher(counts: Counts) -> np.ndarray:
    """Fisher's exact test at p < 0.05 over all that was counted so far, at each look."""
    n_c, bad_c, n_p, bad_p = (column.cumsum(axis=1) for column in counts)
    n, bad = n_c + n_p, bad_c + bad_p
    with np.errstate(invalid="ignore", divide="ignore"):
        share = bad / n
        sigmas = (bad_c - n_c * share) / np.sqrt(n_c * share * (1 - share) * n_p / n)
    ends = np.full(len(n), np.nan)
    for look in range(n.shape[1]):
        # Within one sigma no p is below 0.05, and exact ones are dear.
        asked = np.flatnonzero(np.isnan(ends) & (sigmas[:, look] > 1))
        at = (asked, look)
        p = stats.hypergeom.sf(bad_c[at] - 1, n[at], bad[at], n_c[at])
        ends[asked[p < 0.05]] = look + 1
    return ends


def above(counts: Counts, limit: int) -> np.ndarray:
    """The canary's rate was above 1.5 % in more than ``limit`` looks."""
    failed = counts.canary_bad > TOO_MANY * counts.canary_n
    return first(failed.cumsum(axis=1) > limit)


def mann_whitney(counts: Counts) -> np.ndarray:
    """The canary's rates by look rank above the primary's, at p < 0.01, asked every ten looks."""
    canary = counts.canary_bad / np.maximum(counts.canary_n, 1)
    primary = counts.primary_bad / np.maximum(counts.primary_n, 1)
    hits = np.zeros(canary.shape, dtype=bool)
    for look in range(EVERY, canary.shape[1] + 1, EVERY):
        with np.errstate(invalid="ignore", divide="ignore"):  # all ranks tied: no p
            found = stats.mannwhitneyu(
                canary[:, :look], primary[:, :look], alternative="greater", axis=1, method="asymptotic"
            )
        hits[:, look - 1] = found.pvalue < 0.01
    return first(hits)
