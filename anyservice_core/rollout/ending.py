"""The end of a rollout: its report, and the error that an end without a promotion is."""

from __future__ import annotations

from collections.abc import Mapping

from anyservice_core.errors import RolledBackError, RolloutError, RolloutPausedError, SupersededError
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.report import Outcome, RolloutReport

__all__ = ["raise_if_lost", "report_of"]

_ERRORS: Mapping[Outcome, tuple[type[RolloutError], str]] = {
    Outcome.ROLLED_BACK: (RolledBackError, "Mend the version and roll it out again."),
    Outcome.PAUSED: (RolloutPausedError, "Look at it, then run the same rollout again to go on from here."),
    Outcome.SUPERSEDED: (SupersededError, "Nothing more will be done to the service."),
    Outcome.FAILED: (RolloutError, "Nothing more will be done to the service."),
}
_CONDEMNED = "Mend the version and roll it out again; this very build is tried again only with force."


def report_of(
    journal: Journal,
    outcome: Outcome,
    reason: str,
    *,
    service: str,
    service_id: str,
    at: float,
    pause: str | None,
) -> RolloutReport:
    """All that the journal knows of the rollout, now that it is over."""
    return RolloutReport(
        outcome=outcome,
        service=service,
        service_id=service_id,
        version_name=journal.version_name,
        version=journal.version,
        baseline_version=journal.baseline,
        baseline_name=journal.baseline_name,
        reason=reason,
        pause=pause,
        steps=journal.steps,
        steps_skipped=journal.first_deploy,
        orders=journal.orders,
        started_at=journal.started_at if journal.started_at is not None else at,
        ended_at=at,
        rollout_key=journal.rollout_key,
        attempt=journal.attempt,
    )


def raise_if_lost(report: RolloutReport, *, condemned: bool) -> None:
    """Raise what an end without a promotion is; ``condemned``: this build is not to be tried again."""
    if report.outcome in _ERRORS:
        kind, hint = _ERRORS[report.outcome]
        raise kind(f"{report}.", hint=_CONDEMNED if condemned else hint, report=report.to_dict())
