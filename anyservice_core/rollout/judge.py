"""From measurements to a verdict: what each metric says, and what all of them say together.

Together they say what the worst of them says, in the order successful, inconclusive, error, failed;
there is one order, within a metric and across metrics. An *error* means that it could not be
measured, which tells nothing about the canary; it is forgotten with the next measurement that works.
Metrics on a dry run are measured and shown, never counted.

A limit is *exceeded*, not reached. What a metric that is not compared says, the first that holds:

    failed         more failures than ``failure_limit``, or in a row than ``consecutive_failure_limit``
    inconclusive   more measurements that said neither than ``inconclusive_limit``
    successful     more successes in a row than ``consecutive_success_limit``, where that is given
    inconclusive   fewer measurements than ``count``, which the step waits for; or, with a limit of successes
                   in a row, not enough of them
    successful     else, once it was measured

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
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.metric import Bound, Compare, Metric
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
    return tuple(metric for metric in plan.judges if step.weight or not metric.needs_users)


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
    enough = _passing(metric.compare, tally.windows, history) >= _enough(metric.compare)
    return tally.replace(passed=enough)


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
        return finding.model_copy(update={"phase": Phase.ERROR, "message": message, "pending": False})
    return finding.model_copy(update={"pending": True})


# ── single numbers, yes or no, and health ───────────────────────────────────


def _counted(metric: Metric, tally: Tally) -> Finding:
    phase, message, pending = _by_limits(metric, tally)
    names = ("measured", "successful", "failed", "inconclusive", "successful_in_row", "failed_in_row")
    numbers: dict[str, float] = {name: getattr(tally, name) for name in names}
    if tally.value is not None:
        numbers["value"] = tally.value
    return Finding(metric=metric.name, phase=phase, message=message, numbers=numbers, pending=pending)


def _by_limits(metric: Metric, tally: Tally) -> tuple[Phase, str, bool]:
    """The phase, a sentence, and whether the step waits for more."""
    what, of = _what(metric, tally), f"of {_measurements(tally.measured)}"
    row, allowed, wanted = (
        metric.consecutive_failure_limit,
        metric.failures_allowed,
        metric.consecutive_success_limit,
    )
    if row is not None and tally.failed_in_row > row:
        return Phase.FAILED, f"{what}: failed {_times(tally.failed_in_row)} in a row{_allowed(row)}", False
    if allowed is not None and tally.failed > allowed:
        return Phase.FAILED, f"{what}: failed {tally.failed} {of}{_allowed(allowed)}", False
    if tally.inconclusive > metric.inconclusive_limit:
        unclear = f"{what}: {tally.inconclusive} {of} said neither yes nor no"
        return Phase.INCONCLUSIVE, f"{unclear}{_allowed(metric.inconclusive_limit)}", False
    if not tally.measured:
        return Phase.INCONCLUSIVE, "not measured yet", metric.count is not None
    if not tally.passed and wanted is not None:
        passed = (
            f"{what}: passed {_times(tally.successful_in_row)} in a row, and more than {wanted} are needed"
        )
        return Phase.INCONCLUSIVE, passed, metric.count is not None and not tally.complete(metric)
    if not tally.passed and not tally.complete(metric):
        return Phase.INCONCLUSIVE, f"{what}: measured {_times(tally.measured)} of {metric.count}", True
    if tally.passed:
        return Phase.SUCCESSFUL, f"{what}: passed more than {_times(wanted or 0)} in a row", False
    return Phase.SUCCESSFUL, f"{what}: passed {tally.successful} {of}", False


def _what(metric: Metric, tally: Tally) -> str:
    """What the last measurement that worked has brought."""
    if metric.provider == "service":
        return "unhealthy" if tally.failed_in_row else "healthy"
    if tally.value is None:
        return tally.note or "no data"
    return f"{tally.value:.4g} ({_held_against(metric)}{f'; {tally.note}' if tally.note else ''})"


def _held_against(metric: Metric) -> str:
    ranges = (("good", metric.success), ("bad", metric.failure))
    return ", ".join(f"{name} {_range(bound)}" for name, bound in ranges if bound is not None)


def _range(bound: Bound) -> str:
    if bound.min is None:
        return f"up to {bound.max:g}"
    return f"from {bound.min:g}" if bound.max is None else f"from {bound.min:g} to {bound.max:g}"


def _allowed(limit: int) -> str:
    return f", and {limit or 'none'} {'is' if limit == 1 else 'are'} allowed"


def _measurements(count: int) -> str:
    return "1 measurement" if count == 1 else f"{count} measurements"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


# ── comparisons ─────────────────────────────────────────────────────────────


class _Weighed(NamedTuple):
    """Evidence as logarithms: that the canary is ``worse``, and by either arm that it is fine; and what each needs."""

    worse: float
    bar: float
    beside: float
    alone: float
    enough: float

    @property
    def fine(self) -> float:
        return max(self.beside, self.alone)


def _compared(
    metric: Metric, compare: Compare, tally: Tally, history: Sequence[Window], plan: RolloutPlan
) -> Finding:
    windows = tally.windows
    if not windows:
        return Finding(
            metric=metric.name,
            phase=Phase.INCONCLUSIVE,
            message="no request was counted yet",
            pending=metric.count is not None and not tally.complete(metric),
        )
    weighed = _weigh(compare, windows, history, _questions(plan))
    common = _both_bad(compare, windows, history)
    phase, said = _say(compare, weighed, common=common, passed=tally.passed)
    undecided = phase is Phase.INCONCLUSIVE
    return Finding(
        metric=metric.name,
        phase=phase,
        message=f"{_sides(total(windows))}: {said}{f' ({tally.note})' if tally.note else ''}",
        numbers=_numbers(compare, weighed, windows, history),
        common_mode=undecided and common,
        pending=undecided and metric.count is not None and not tally.complete(metric),
    )


def _numbers(
    compare: Compare, weighed: _Weighed, windows: Sequence[Window], history: Sequence[Window]
) -> dict[str, float]:
    seen = total(windows)
    return {
        "canary_requests": seen.canary_n,
        "canary_bad": seen.canary_bad,
        "primary_requests": seen.primary_n,
        "primary_bad": seen.primary_bad,
        "evidence": _number(weighed.worse),
        "needed": _number(weighed.bar),
        "evidence_fine": _number(weighed.fine),
        "needed_fine": _number(weighed.enough),
        "dispersion": round(_scatter(compare, windows, history, doubt=True), 3),
    }


def _say(compare: Compare, weighed: _Weighed, *, common: bool, passed: bool) -> tuple[Phase, str]:
    ratio, rate = f"{compare.max_ratio:g} times the primary's rate", _percent(compare.max_rate or 0)
    if weighed.worse >= weighed.bar:
        return Phase.FAILED, f"more than {ratio}, {_odds(weighed.worse, weighed.bar)}"
    if common:
        return Phase.INCONCLUSIVE, f"both are above {rate}, and the canary is not shown to be worse"
    if weighed.fine >= weighed.enough:
        how = f"less than {rate}" if weighed.alone > weighed.beside else f"less than {ratio}"
        return Phase.SUCCESSFUL, f"{how}, {_odds(weighed.fine, weighed.enough)}"
    if passed:
        return (
            Phase.SUCCESSFUL,
            "it was shown before that the canary is fine, and nothing shows that it is not",
        )
    if weighed.worse > weighed.fine:
        return (
            Phase.INCONCLUSIVE,
            f"too little to tell; more than {ratio}, {_odds(weighed.worse, weighed.bar)}",
        )
    return Phase.INCONCLUSIVE, f"too little to tell; fine, {_odds(weighed.fine, weighed.enough)}"


def _weigh(
    compare: Compare, windows: Sequence[Window], history: Sequence[Window], questions: int
) -> _Weighed:
    return _Weighed(
        worse=_worse(compare, windows, history),
        bar=log(questions / (1 - compare.confidence)),
        beside=_beside(compare, windows, history),
        alone=_alone(compare, windows, history),
        enough=_enough(compare),
    )


def _enough(compare: Compare) -> float:
    return log(1 / (1 - compare.confidence))


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
    return max(_beside(compare, windows, history), _alone(compare, windows, history))


def _beside(compare: Compare, windows: Sequence[Window], history: Sequence[Window]) -> float:
    """The evidence that it is not worse than the primary."""
    grid = [ratio for ratio in BETTER if ratio < compare.max_ratio]
    return log_evidence(windows, compare.max_ratio, grid, _scatter(compare, windows, history, doubt=True))


def _alone(compare: Compare, windows: Sequence[Window], history: Sequence[Window]) -> float:
    """The evidence that its own rate is low; none where no rate is low enough."""
    if compare.max_rate is None:
        return -inf
    return log_evidence_of_rate(
        windows, compare.max_rate, BELOW, _scatter(compare, windows, history, doubt=False)
    )


def _both_bad(compare: Compare, windows: Sequence[Window], history: Sequence[Window]) -> bool:
    """Whether both versions are above ``max_rate``, beyond doubt."""
    if compare.max_rate is None:
        return False
    scatter = _scatter(compare, windows, history, doubt=True)
    swapped = [Window(w.primary_n, w.primary_bad, w.canary_n, w.canary_bad) for w in windows]
    sides = (log_evidence_of_rate(side, compare.max_rate, ABOVE, scatter) for side in (windows, swapped))
    return min(sides) >= _enough(compare)


def _sides(seen: Window) -> str:
    return (
        f"canary {_share(seen.canary_bad, seen.canary_n)}, primary {_share(seen.primary_bad, seen.primary_n)}"
    )


def _share(bad: int, n: int) -> str:
    return f"{bad} bad of {n} ({_percent(bad / n)})" if n else "without requests"


def _percent(share: float) -> str:
    """Two digits that matter: 5.1 %, 0.04 %."""
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.1f} %"


def _number(evidence: float) -> float:
    return round(exp(min(evidence, 20.0)), 3)


def _odds(evidence: float, needed: float) -> str:
    return f"at odds of {_shown(evidence)} to 1 ({_shown(needed)} needed)"


def _shown(evidence: float) -> str:
    if evidence > log(1e6):
        return "over 1000000"
    return f"{exp(evidence):.2g}" if evidence < log(100) else f"{exp(evidence):.0f}"
