"""How often an innocent canary is condemned, and how soon a bad one is found: the sequential test against others.

Each look compares a minute of both versions, and the verdict falls at the first look that has enough. A test made
for one look (Fisher) errs more with each; a fixed threshold errs as the traffic has it; a rank test, asked seldom
enough not to err, is late. The sequential test is given twice: told that errors come one by one (``dispersion: 1``),
and as it is by default (``auto``), in doubt about that until it has seen.

Ours is computed in numpy for many runs, and the product's own tally and judge are given some of the same runs: they
must come to the same end at the same look. The run fails if they do not, if an innocent canary is condemned in more
than 5 % of the runs, or if a bad one is found more than one look from when it should be.

Not named after what it is about: a ``statistics.py`` here would hide Python's own from every benchmark.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

import numpy as np
from looks.ours import Ends, Ours
from looks.rivals import above, fisher, mann_whitney
from looks.traffic import Counts, Situation

SEED = 1
RUNS, RUNS_LONG = 4_000, 2_000
CHECKED, CHECKED_LONG = 120, 10
LONG = 200  # looks, from which a run is a long one

INNOCENT = (
    Situation("identical versions"),
    Situation("  four times the errors for 10 min, on both", incident=True),
    Situation("  6 canary requests a minute", canary=6, primary=54),
    Situation("  errors in bursts of 5", burst=5),
    Situation("  600 looks, of 12 and 108 requests", canary=12, primary=108, looks=600),
)
GUILTY = (
    Situation("2 times worse", ratio=2),
    Situation("5 times worse", ratio=5),
    Situation("10 times worse", ratio=10),
    Situation("20 times worse, 6 canary requests a minute", ratio=20, canary=6, primary=54),
)
MEDIANS = dict(
    zip(GUILTY, (18, 3, 1, 5), strict=True)
)  # in minutes, where errors are known to come one by one
RIVALS: dict[str, Callable[[Counts], np.ndarray]] = {
    "Fisher p<.05": fisher,
    ">1.5 %, limit 0": lambda counts: above(counts, 0),
    ">1.5 %, limit 3": lambda counts: above(counts, 3),
    "Mann-Whitney": mann_whitney,
}
ONE_BY_ONE, AUTO = "disp. 1", "auto"
STRICT = {ONE_BY_ONE: Ours(1.0, 1.0), AUTO: Ours(1.0, "auto")}
DEFAULT = {ONE_BY_ONE: Ours(2.0, 1.0, steps=4), AUTO: Ours(2.0, "auto", steps=4)}


class Trial:
    """Plays situations, asks judges, and keeps what they cost and where they fell short."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.seconds: dict[str, float] = {}
        self.compared = 0
        self.doubt: list[str] = []

    def timed(self, name: str, judge: Callable[[Counts], Ends | np.ndarray], counts: Counts):
        start = time.perf_counter()
        ends = judge(counts)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return ends

    def ours(self, situation: Situation, judge: Ours, counts: Counts) -> Ends:
        ends = self.timed("ours, in numpy", judge.many, counts)
        checked = CHECKED_LONG if situation.looks >= LONG else CHECKED
        own = self.timed("ours, the product", judge.product, Counts(*(rows[:checked] for rows in counts)))
        self.compared += checked
        agreed = own.agree(ends.of(checked))
        self.expect(agreed, f"{situation.says}: the product and the copy of its sums disagree")
        return ends

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.faults.append(otherwise)

    # ── the two tables ──

    def condemned(self, situation: Situation) -> list[str]:
        """One row of the first: how often and when each judge calls the canary worse."""
        counts = situation.play(runs_of(situation), SEED)
        cells = [self.timed(name, rival, counts) for name, rival in RIVALS.items()]
        for name, judge in STRICT.items():
            cells.append(self.ours(situation, judge, counts).failed)
            self.judge(situation, name, cells[-1])
        guilty = situation.ratio > 1
        if guilty:
            later = np.nanmedian(cells[-1]) - np.nanmedian(cells[-2])
            self.doubt.append(f"{later:+.0f} at {situation.says}")
        return [found(ends) if guilty else erred(ends) for ends in cells]

    def judge(self, situation: Situation, name: str, ends: np.ndarray) -> None:
        if situation.ratio == 1 and (name == AUTO or situation.burst == 1):
            self.expect(share(ends) < 0.05, f"{situation.says}: {erred(ends)} condemned ({name})")
        if situation.ratio > 1 and name == ONE_BY_ONE:
            late = abs(np.nanmedian(ends) - MEDIANS[situation])
            self.expect(late <= 1, f"{situation.says}: {found(ends)} found, not {MEDIANS[situation]}")

    def default(self, situation: Situation) -> list[str]:
        """One row of the second: what a plan's defaults make of it within the hour."""
        counts = situation.play(RUNS, SEED)
        cells = []
        for judge in DEFAULT.values():
            ends = self.ours(situation, judge, counts)
            cells += [found(ends.failed), found(ends.passed)]
        return cells


def runs_of(situation: Situation) -> int:
    return RUNS_LONG if situation.looks >= LONG else RUNS


def share(ends: np.ndarray) -> float:
    return float(np.mean(~np.isnan(ends)))


def erred(ends: np.ndarray) -> str:
    """A share with its standard error, in percent."""
    part = share(ends)
    return f"{part * 100:.1f} ±{100 * np.sqrt(part * (1 - part) / len(ends)):.1f} %"


def found(ends: np.ndarray) -> str:
    """A share, and the median look of those."""
    part = share(ends)
    return f"{part * 100:.1f} % ({np.nanmedian(ends):.0f})" if part else "0 %"


def row(says: str, cells: Iterable[str]) -> None:
    print(f"{says:<46}" + "".join(f"{cell:>17}" for cell in cells), flush=True)


def main() -> None:
    trial, start = Trial(), time.perf_counter()
    print(f"seed {SEED}; {RUNS:,} runs a row, {RUNS_LONG:,} of 600 looks; ± one standard error")
    print(
        "60 looks, one a minute; 120 and 1,080 requests a minute, 0.5 % of the primary's bad, unless said\n"
    )
    row("worse than the primary? (ratio > 1, 95 %)", [*RIVALS, *(f"ours, {name}" for name in STRICT)])
    row("rolled back though innocent", [])
    for situation in INNOCENT:
        row(f"  {situation.says}", trial.condemned(situation))
    row("rolled back rightly (median minute)", [])
    for situation in GUILTY:
        row(f"  {situation.says}", trial.condemned(situation))
    print(f"looks that the doubt of `auto` costs: {'; '.join(trial.doubt)}\n")
    row(
        "a plan's defaults (ratio > 2, 95 %, 4 steps)",
        [cell for name in DEFAULT for cell in (f"back, {name}", f"passed, {name}")],
    )
    for situation in (INNOCENT[0], GUILTY[0], Situation("3 times worse", ratio=3), *GUILTY[1:3]):
        row(f"  {situation.says}", trial.default(situation))
    costs = ", ".join(f"{name} {seconds:.1f}" for name, seconds in trial.seconds.items())
    print(f"\n{time.perf_counter() - start:.0f} seconds, of which {costs}")
    print(f"{trial.compared:,} runs were also judged by the product's own code, at every look")
    sys.exit("\n".join(trial.faults) or None)


if __name__ == "__main__":
    main()
