"""What a comparison of both versions says: by evidence (see ``evidence.py``), in the order told in ``judge.py``."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, log
from typing import NamedTuple

from anyservice_core.rollout.evidence import (
    ABOVE,
    BELOW,
    BETTER,
    WORSE,
    Window,
    dispersion,
    log_evidence,
    log_evidence_of_rate,
    total,
)
from anyservice_core.rollout.metric import Compare, Metric
from anyservice_core.rollout.report import Finding, Phase
from anyservice_core.rollout.tally import Tally

__all__ = ["compared", "proven"]


class _Weighed(NamedTuple):
    """Evidence as logarithms, and what each kind of it needs.

    ``worse``: that the canary is more than ``max_ratio`` times worse, of which ``bar`` is proof. ``beside``: that it
    is not, ``alone``: that its own rate is low enough, of which ``enough`` is proof. ``both_bad``: that both are above
    ``max_rate``. ``scatter`` is the dispersion that they are tempered by.
    """

    worse: float
    bar: float
    beside: float
    alone: float
    enough: float
    both_bad: float
    scatter: float

    @property
    def fine(self) -> float:
        """The stronger of the two kinds of evidence that the canary is fine."""
        return max(self.beside, self.alone)


def compared(
    metric: Metric, compare: Compare, tally: Tally, history: Sequence[Window], questions: int
) -> Finding:
    """The finding; ``questions``: how many such verdicts the whole plan asks for, of which none may be wrong."""
    waits = not tally.complete(metric)
    if not tally.windows:
        said = "no request was counted yet"
        return Finding(metric=metric.name, phase=Phase.INCONCLUSIVE, message=said, pending=waits)
    weighed, seen = _weigh(compare, tally.windows, history, questions), total(tally.windows)
    phase, said = _say(compare, weighed, passed=tally.passed)
    undecided = phase is Phase.INCONCLUSIVE
    if undecided and not seen.canary_n:
        said = "no request has reached the canary"
    return Finding(
        metric=metric.name,
        phase=phase,
        message=f"{_sides(seen)}: {said}{f' ({tally.note})' if tally.note else ''}",
        numbers=_numbers(seen, weighed),
        common_mode=undecided and weighed.both_bad >= weighed.enough,
        pending=undecided and waits,
    )


def proven(compare: Compare, windows: Sequence[Window], history: Sequence[Window]) -> bool:
    """Whether the evidence that the canary is fine is enough to pass."""
    weighed = _weigh(compare, windows, history, 1)
    return weighed.fine >= weighed.enough


def _weigh(
    compare: Compare, windows: Sequence[Window], history: Sequence[Window], questions: int
) -> _Weighed:
    doubtful, known = _scatter(compare, [*history, *windows])
    ratio, rate = compare.max_ratio, compare.max_rate
    worse, better = [ratio * multiple for multiple in WORSE], [fine for fine in BETTER if fine < ratio]
    return _Weighed(
        worse=log_evidence(windows, ratio, worse, doubtful),
        bar=log(questions / (1 - compare.confidence)),
        beside=log_evidence(windows, ratio, better, doubtful),
        alone=-inf if rate is None else log_evidence_of_rate(windows, rate, BELOW, known),
        enough=log(1 / (1 - compare.confidence)),
        both_bad=-inf if rate is None else _both_above(rate, windows, doubtful),
        scatter=doubtful,
    )


def _scatter(compare: Compare, windows: Sequence[Window]) -> tuple[float, float]:
    """The dispersion with the doubt that little was seen, and without."""
    if compare.dispersion != "auto":
        return compare.dispersion, compare.dispersion
    return dispersion(windows), dispersion(windows, doubt=0.0)


def _both_above(rate: float, windows: Sequence[Window], scatter: float) -> float:
    """The weaker evidence, of either version, that its rate is above ``rate``."""
    swapped = [Window(w.primary_n, w.primary_bad, w.canary_n, w.canary_bad) for w in windows]
    return min(log_evidence_of_rate(side, rate, ABOVE, scatter) for side in (windows, swapped))


# ── in words and numbers ────────────────────────────────────────────────────


def _say(compare: Compare, weighed: _Weighed, *, passed: bool) -> tuple[Phase, str]:
    ratio, rate = f"{compare.max_ratio:g} times the primary's rate", _percent(compare.max_rate or 0)
    if weighed.worse >= weighed.bar:
        return Phase.FAILED, f"more than {ratio}, {_odds(weighed.worse, weighed.bar)}"
    if weighed.both_bad >= weighed.enough:
        return Phase.INCONCLUSIVE, f"both are above {rate}, and the canary is not shown to be worse"
    if weighed.fine >= weighed.enough:
        how = rate if weighed.alone > weighed.beside else ratio
        return Phase.SUCCESSFUL, f"less than {how}, {_odds(weighed.fine, weighed.enough)}"
    if passed:
        return Phase.SUCCESSFUL, "it was shown to be fine before, and nothing shows that it is not"
    leaning, evidence, needed = "that it is fine", weighed.fine, weighed.enough
    if weighed.worse > weighed.fine:
        leaning, evidence, needed = f"for more than {ratio}", weighed.worse, weighed.bar
    return Phase.INCONCLUSIVE, f"too little to tell, {_odds(evidence, needed, leaning)}"


def _numbers(seen: Window, weighed: _Weighed) -> dict[str, float]:
    return {
        "canary_requests": seen.canary_n,
        "canary_bad": seen.canary_bad,
        "primary_requests": seen.primary_n,
        "primary_bad": seen.primary_bad,
        "evidence": _number(weighed.worse),
        "needed": _number(weighed.bar),
        "evidence_fine": _number(weighed.fine),
        "needed_fine": _number(weighed.enough),
        "dispersion": round(weighed.scatter, 3),
    }


def _sides(seen: Window) -> str:
    sides = (("canary", seen.canary_bad, seen.canary_n), ("primary", seen.primary_bad, seen.primary_n))
    return ", ".join(f"{name} {_share(bad, n)}" for name, bad, n in sides)


def _share(bad: int, n: int) -> str:
    return f"{bad} bad of {n} ({_percent(bad / n)})" if n else "without requests"


def _percent(share: float) -> str:
    """The digits that matter: 38.9 %, 5.1 %, 0.04 %."""
    return f"{share * 100:.3g} %" if share >= 0.1 else f"{share * 100:.2g} %"


def _number(evidence: float) -> float:
    return round(exp(min(evidence, 20.0)), 3)


def _odds(evidence: float, needed: float, of: str = "") -> str:
    return f"at odds of {_shown(evidence)} to 1{f' {of}' if of else ''} ({_shown(needed)} needed)"


def _shown(evidence: float) -> str:
    if evidence > log(1e6):
        return "over 1000000"
    return f"{exp(evidence):.2g}" if evidence < log(100) else f"{exp(evidence):.0f}"
