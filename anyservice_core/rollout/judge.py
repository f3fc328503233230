"""From measurements to a verdict: what each metric says, and what all of them say together.

Together they say what the worst of them says, in the order successful, inconclusive, error, failed;
there is one order, within a metric and across metrics. An *error* means that it could not be
measured, which tells nothing about the canary; it is forgotten with the next measurement that works.
Metrics on a dry run are measured and shown, never counted.

A comparison speaks by evidence (see ``evidence.py``):

    failed         worse than ``max_ratio`` times the primary, beyond K / (1 - confidence), where K is
                   the number of such questions in the whole plan: the more often one may be wrong,
                   the surer each must be
    inconclusive   "common mode": both versions are above ``max_rate``, so going back would not help
    successful     not worse than ``max_ratio`` times, or below ``max_rate``, beyond 1 / (1 - confidence)
    inconclusive   not enough seen yet; a canary that nobody calls stays here

Whether the errors clump is unknown at first, so comparisons of the two begin in doubt (see
``dispersion``). The canary's own rate is taken at its word until clumps are seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

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
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.metric import Compare, Metric
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import Finding, Phase, Verdict
from anyservice_core.rollout.tally import Tally

__all__ = ["judge", "metrics_at", "remember"]


def metrics_at(plan: RolloutPlan, weight: int | None) -> tuple[Metric, ...]:
    """The metrics that judge a canary at ``weight``; its health always does.

    At weight 0 no user's request can be compared, so comparisons need to be named there.
    """
    step = plan.step_at(weight) if weight is not None else None
    if step is None:
        return tuple(metric for metric in plan.judges if metric.provider == "service")
    if step.analysis is not None:
        named = step.analysis
        return tuple(m for m in plan.judges if m.name in named or m.provider == "service")
    return tuple(metric for metric in plan.judges if step.weight or not metric.counts)


def judge(plan: RolloutPlan, journal: Journal) -> Verdict:
    """What the measurements of the present step say."""
    findings = tuple(
        _find(metric, journal.tallies.get(metric.name, Tally()), journal.history.get(metric.name, ()), plan)
        for metric in metrics_at(plan, journal.weight)
    )
    return _together(findings)


def remember(metric: Metric, tally: Tally, history: Sequence[Window]) -> Tally:
    """The tally, with a note if its evidence is now enough to pass: by the nature of the test, that stands."""
    if tally.passed or metric.compare is None or not tally.windows:
        return tally
    enough = log(1 / (1 - metric.compare.confidence))
    return tally.replace(passed=_passing(metric.compare, tally.windows, history) >= enough)


def _together(findings: Sequence[Finding]) -> Verdict:
    counted = [finding for finding in findings if not finding.dry_run]
    if not counted:
        return Verdict(findings=tuple(findings))
    worst = max(counted, key=lambda finding: finding.phase.rank)
    same = [finding for finding in counted if finding.phase is worst.phase]
    return Verdict(
        phase=worst.phase,
        reason="; ".join(str(finding) for finding in same),
        common_mode=any(finding.common_mode for finding in counted),
        pending=any(finding.pending for finding in counted),
        findings=tuple(findings),
    )


def _find(metric: Metric, tally: Tally, history: Sequence[Window], plan: RolloutPlan) -> Finding:
    if metric.compare is not None:
        finding = _compared(metric, metric.compare, tally, history, plan)
    else:
        finding = _counted(metric, tally)
    if tally.errors_in_row and finding.phase is not Phase.FAILED:
        finding = _in_trouble(metric, tally, finding)
    return finding.model_copy(update={"dry_run": metric.dry_run})


def _in_trouble(metric: Metric, tally: Tally, finding: Finding) -> Finding:
    message = f"could not be measured {_times(tally.errors_in_row)} in a row: {tally.trouble}"
    if tally.errors_in_row > metric.consecutive_error_limit:
        return finding.model_copy(update={"phase": Phase.ERROR, "message": message})
    return finding.model_copy(update={"pending": True})


# ── single numbers, and health ──────────────────────────────────────────────


def _counted(metric: Metric, tally: Tally) -> Finding:
    phase, message = _by_limits(metric, tally)
    numbers: dict[str, float] = {"measured": tally.measured, "failed": tally.failed}
    if tally.value is not None:
        numbers["value"] = tally.value
    return Finding(metric=metric.name, phase=phase, message=message, numbers=numbers)


def _by_limits(metric: Metric, tally: Tally) -> tuple[Phase, str]:
    what = _what(metric, tally)
    row, allowed = metric.consecutive_failure_limit, metric.failures_allowed
    if row is not None and tally.failed_in_row > row:
        return Phase.FAILED, f"{what}: failed {_times(tally.failed_in_row)} in a row, more than {row}"
    if allowed is not None and tally.failed > allowed:
        return Phase.FAILED, f"{what}: failed {_times(tally.failed)} of {tally.measured}, more than {allowed}"
    if not tally.measured:
        return Phase.INCONCLUSIVE, "not measured yet"
    if tally.inconclusive > metric.inconclusive_limit:
        return Phase.INCONCLUSIVE, f"{what}: said neither yes nor no {_times(tally.inconclusive)}"
    return Phase.SUCCESSFUL, f"{what}: passed {_times(tally.successful)} of {tally.measured}"


def _what(metric: Metric, tally: Tally) -> str:
    if metric.provider == "service":
        return tally.trouble or ("unhealthy" if tally.failed_in_row else "healthy")
    return "no data" if tally.value is None else f"{tally.value:.4g}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


# ── comparisons ─────────────────────────────────────────────────────────────


def _compared(
    metric: Metric, compare: Compare, tally: Tally, history: Sequence[Window], plan: RolloutPlan
) -> Finding:
    windows = tally.windows
    if not windows:
        return Finding(metric=metric.name, phase=Phase.INCONCLUSIVE, message="no request was counted yet")
    worse, bar = _worse(compare, windows, history), log(_questions(plan) / (1 - compare.confidence))
    phase, said = _weigh(compare, tally, worse, bar, history)
    seen = total(windows)
    return Finding(
        metric=metric.name,
        phase=phase,
        message=f"{_sides(seen)}: {said}",
        numbers={
            "canary_requests": seen.canary_n,
            "canary_bad": seen.canary_bad,
            "primary_requests": seen.primary_n,
            "primary_bad": seen.primary_bad,
            "evidence": _number(worse),
            "needed": _number(bar),
        },
        common_mode=phase is Phase.INCONCLUSIVE and _both_bad(compare, windows, history),
    )


def _weigh(
    compare: Compare, tally: Tally, worse: float, bar: float, history: Sequence[Window]
) -> tuple[Phase, str]:
    if worse >= bar:
        return Phase.FAILED, f"worse (evidence {_shown(worse)} > {_shown(bar)})"
    if _both_bad(compare, tally.windows, history):
        return Phase.INCONCLUSIVE, f"both are above {_percent(compare.max_rate or 0)}"
    passing, enough = _passing(compare, tally.windows, history), log(1 / (1 - compare.confidence))
    if passing >= enough:
        return Phase.SUCCESSFUL, f"not worse (evidence {_shown(passing)} > {_shown(enough)})"
    if tally.passed:
        return Phase.SUCCESSFUL, "not worse (the evidence was enough before)"
    return Phase.INCONCLUSIVE, _undecided(worse, bar, passing, enough)


def _undecided(worse: float, bar: float, passing: float, enough: float) -> str:
    """The side that the numbers lean to, and how far it still has to go."""
    if worse > passing:
        return f"leaning to worse, too little to tell (evidence {_shown(worse)} of {_shown(bar)})"
    return f"too little to tell (evidence {_shown(passing)} of {_shown(enough)})"


def _questions(plan: RolloutPlan) -> int:
    compared = sum(1 for metric in plan.metrics if metric.compare and not metric.dry_run)
    return max(1, len(plan.steps)) * max(1, compared)


def _scatter(compare: Compare, windows: Sequence[Window], history: Sequence[Window], *, doubt: bool) -> float:
    if compare.dispersion != "auto":
        return compare.dispersion
    seen = [*history, *windows]
    return dispersion(seen) if doubt else dispersion(seen, doubt=0.0)


def _worse(compare: Compare, windows: Sequence[Window], history: Sequence[Window]) -> float:
    grid = [compare.max_ratio * multiple for multiple in WORSE]
    return log_evidence(windows, compare.max_ratio, grid, _scatter(compare, windows, history, doubt=True))


def _passing(compare: Compare, windows: Sequence[Window], history: Sequence[Window]) -> float:
    """The stronger of the two kinds of evidence that the canary is fine, as a logarithm."""
    grid = [ratio for ratio in BETTER if ratio < compare.max_ratio]
    beside = log_evidence(windows, compare.max_ratio, grid, _scatter(compare, windows, history, doubt=True))
    if compare.max_rate is None:
        return beside
    scatter = _scatter(compare, windows, history, doubt=False)
    return max(beside, log_evidence_of_rate(windows, compare.max_rate, BELOW, scatter))


def _both_bad(compare: Compare, windows: Sequence[Window], history: Sequence[Window]) -> bool:
    """Whether both versions are above ``max_rate``, beyond doubt."""
    if compare.max_rate is None:
        return False
    scatter = _scatter(compare, windows, history, doubt=True)
    swapped = [Window(w.primary_n, w.primary_bad, w.canary_n, w.canary_bad) for w in windows]
    sides = (log_evidence_of_rate(side, compare.max_rate, ABOVE, scatter) for side in (windows, swapped))
    return min(sides) >= log(1 / (1 - compare.confidence))


def _sides(seen: Window) -> str:
    canary = f"canary {_rate(seen.canary_bad, seen.canary_n)} of {seen.canary_n}"
    return f"{canary} against primary {_rate(seen.primary_bad, seen.primary_n)} of {seen.primary_n}"


def _rate(bad: int, n: int) -> str:
    return _percent(bad / n) if n else "none"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _number(evidence: float) -> float:
    return round(exp(min(evidence, 20.0)), 3)


def _shown(evidence: float) -> str:
    if evidence > log(1e6):
        return "over 1000000"
    return f"{exp(evidence):.3g}" if evidence < log(1000) else f"{exp(evidence):.0f}"
