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
from typing import NamedTuple

from anyservice_core.rollout.comparing import compared, proven
from anyservice_core.rollout.evidence import Window
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.metric import Bound, Metric
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
    return tally.replace(passed=proven(metric.compare, tally.windows, history))


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
        finding = compared(metric, metric.compare, tally, history, _questions(plan))
    else:
        finding = _counted(metric, tally)
    if tally.errors_in_row and finding.phase is not Phase.FAILED:
        finding = _in_trouble(metric, tally, finding)
    return finding.model_copy(update={"dry_run": metric.dry_run})


def _questions(plan: RolloutPlan) -> int:
    asked = sum(1 for metric in plan.metrics if metric.compare and not metric.dry_run)
    return max(1, len(plan.steps)) * max(1, asked)


def _in_trouble(metric: Metric, tally: Tally, finding: Finding) -> Finding:
    times = "once" if tally.errors_in_row == 1 else f"{tally.errors_in_row} times in a row"
    trouble = f"could not be measured {times}: {tally.trouble}"
    told = finding.model_copy(update={"numbers": {**finding.numbers, "errors_in_row": tally.errors_in_row}})
    if tally.errors_in_row > metric.consecutive_error_limit:
        return told.model_copy(update={"phase": Phase.ERROR, "message": trouble, "pending": False})
    return told.model_copy(update={"pending": True, "message": f"{finding.message}; then it {trouble}"})


# ── single numbers, yes or no, and health ───────────────────────────────────


class _Said(NamedTuple):
    """What the limits say, in a sentence; ``waits``: the step waits for more."""

    phase: Phase
    message: str
    waits: bool = False


def _counted(metric: Metric, tally: Tally) -> Finding:
    said = (
        _by_limits(metric, tally) if tally.measured else _Said(Phase.INCONCLUSIVE, "not measured yet", True)
    )
    names = ("measured", "successful", "failed", "inconclusive", "successful_in_row", "failed_in_row")
    numbers: dict[str, float] = {name: getattr(tally, name) for name in names}
    if tally.value is not None:
        numbers["value"] = tally.value
    waits = said.waits and not tally.complete(metric)
    return Finding(metric=metric.name, phase=said.phase, message=said.message, numbers=numbers, pending=waits)


def _by_limits(metric: Metric, tally: Tally) -> _Said:
    what, of = _what(metric, tally), f"of {_measurements(tally.measured)}"
    if (row := metric.consecutive_failure_limit) is not None and tally.failed_in_row > row:
        times = _times(tally.failed_in_row)
        return _Said(Phase.FAILED, f"{what}: failed {times} in a row{_allowed(row)}")
    if (most := metric.failures_allowed) is not None and tally.failed > most:
        return _Said(Phase.FAILED, f"{what}: failed {tally.failed} {of}{_allowed(most)}")
    if tally.inconclusive > (most := metric.inconclusive_limit):
        neither = f"{tally.inconclusive} {of} said neither yes nor no"
        return _Said(Phase.INCONCLUSIVE, f"{what}: {neither}{_allowed(most)}")
    if (wanted := metric.consecutive_success_limit) is not None:
        if tally.passed:
            return _Said(Phase.SUCCESSFUL, f"{what}: passed {_times(wanted + 1)} in a row")
        passed = f"passed {tally.successful_in_row} in a row, and {wanted + 1} are needed"
        return _Said(Phase.INCONCLUSIVE, f"{what}: {passed}", waits=True)
    if not tally.complete(metric):
        many = f"measured {tally.measured} of {metric.count} times"
        return _Said(Phase.INCONCLUSIVE, f"{what}: {many}", waits=True)
    return _Said(Phase.SUCCESSFUL, f"{what}: passed {tally.successful} {of}")


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
