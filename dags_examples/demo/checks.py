"""Did it work? Pure: from the records of a run to a list of answers and an exit code.

The split. While a weight of ``w`` percent is held, each request goes to the version with probability
``p = w / 100``; of ``n`` requests about ``n * p`` should, give or take the sampling error, whose
standard deviation is ``sqrt(n * p * (1 - p))``. We allow ``Z`` = 4 of them and half a request for counting
in whole ones (the usual correction of continuity). A router that splits by chance alone leaves that range about
once in 16,000 looks where hundreds are expected, once in some thousand where it is ten; one that splits
wrongly, by 5 percent points say, hardly stays in it over a thousand requests. (Ours takes turns instead of
throwing dice, so it lies much closer.)

The edges. Who watches sees a new weight when it was asked for, a blink before or after the router follows. So
``LEAD_S`` at the start and ``TAIL_S`` at the end of each while are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dags_examples.demo.traffic import Record, Sample
from dags_examples.demo.watch import Held

__all__ = ["Check", "Outcome", "Split", "checks", "exit_code", "split", "splits"]

Z = 4.0
LEAD_S, TAIL_S = 1.5, 0.5
FEW = 20  # fewer requests than this show nothing


@dataclass(frozen=True)
class Split:
    """What share of the traffic a version got while it had a weight."""

    version: str
    weight: int
    requests: int
    got: int

    @property
    def share(self) -> float:
        return 100 * self.got / self.requests if self.requests else math.nan

    @property
    def allowed(self) -> float:
        """How many percent points the share may be off."""
        if not self.requests:
            return math.nan
        p = self.weight / 100
        return 100 * (Z * math.sqrt(self.requests * p * (1 - p)) + 0.5) / self.requests

    @property
    def fits(self) -> bool:
        return self.requests >= FEW and abs(self.share - self.weight) <= self.allowed


@dataclass(frozen=True)
class Outcome:
    """How things stood at the end of a run."""

    primary: str | None
    living: Sequence[str]
    promoted: bool
    taken_back: bool
    left_processes: Sequence[str]


@dataclass(frozen=True)
class Check:
    """One question, whether the answer is yes, and the numbers behind it."""

    question: str
    good: bool
    numbers: str


def splits(held: Iterable[Held], record: Record, steps: Sequence[tuple[str, int]]) -> list[Split]:
    """Measure the split at each of these steps of (version, weight)."""
    held = list(held)
    return [split(held, record, version, weight) for version, weight in steps]


def split(held: Sequence[Held], record: Record, version: str, weight: int) -> Split:
    """Add up what was sent while ``version`` had ``weight``, edges left out."""
    whiles = [h for h in held if h.weights.get(version) == weight and sum(h.weights.values()) == 100]
    counts = [record.between(h.since + LEAD_S, h.until - TAIL_S) for h in whiles]
    got = sum(count.get(version, 0) for count in counts)
    return Split(version, weight, sum(sum(count.values()) for count in counts), got)


def checks(outcome: Outcome, measured: Sequence[Split], samples: Sequence[Sample]) -> list[Check]:
    """Give every question of the run with its answer."""
    dropped = [sample for sample in samples if sample.dropped]
    return [
        Check(
            "v2 was promoted and is primary",
            outcome.promoted and outcome.primary == "v2",
            _or_none(outcome.primary),
        ),
        Check(
            "v3 was taken back and is gone",
            outcome.taken_back and "v3" not in outcome.living,
            _living(outcome),
        ),
        Check("no request was dropped", bool(samples) and not dropped, _dropped(samples, dropped)),
        Check("only v3 failed requests", _failing(samples) <= {"v3"}, _failures(samples)),
        *(Check(f"{s.version} got its {s.weight} %", s.fits, _split(s)) for s in measured),
        Check("no process is left", not outcome.left_processes, ", ".join(outcome.left_processes) or "none"),
    ]


def exit_code(answers: Sequence[Check]) -> int:
    """Give 0 if there are answers and all are good, else 1."""
    return 0 if answers and all(check.good for check in answers) else 1


def _or_none(name: str | None) -> str:
    return f"primary: {name or 'none'}"


def _living(outcome: Outcome) -> str:
    return f"versions that serve: {', '.join(outcome.living) or 'none'}"


def _dropped(samples: Sequence[Sample], dropped: Sequence[Sample]) -> str:
    first = f"; the first: HTTP {dropped[0].status} {dropped[0].detail}" if dropped else ""
    return f"{len(dropped)} of {len(samples):,}{first}"


def _failing(samples: Sequence[Sample]) -> set[str]:
    return {s.version for s in samples if not s.answered and not s.dropped}


def _failures(samples: Sequence[Sample]) -> str:
    failed = [s for s in samples if not s.answered and not s.dropped]
    return (
        ", ".join(f"{v}: {sum(s.version == v for s in failed)}" for v in sorted(_failing(samples))) or "none"
    )


def _split(s: Split) -> str:
    if not s.requests:
        return "it was never seen at that weight"
    numbers = f"{s.got:,} of {s.requests:,} requests"
    return numbers if s.weight == 100 else f"{numbers} = {s.share:.1f} %, to be {s.weight} ± {s.allowed:.1f}"
