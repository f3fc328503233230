"""What to do next: one pure, total function, and with it every promise about safety.

The server is asked for the truth again before every decision, and the canary's weight is the
checkpoint: weights in a plan strictly increase, so "which step am I on" is a function of what the
server says. No step counter has to survive a crash, and a second worker does no harm, since every
write is absolute ("this version at this weight") and none lowers a weight.

The rules, in order; the first that has something to say decides.

    service                                          decision
    ───────                                          ────────
    is a multi-version one                           give up: there is no one canary to judge
    in a state that is news to this client           wait, at the deadline give up; never act
    any, aborted before we started                   give up; nothing had been sent
    terminated or gone, after we had started         give up; a redeploy would raise what someone stopped
    terminating, before we started                   wait
    terminated or absent, before we started          deploy; it comes up whole, the steps are skipped (*)
    rolling back                                     wait for what comes of it
    in SYSTEM_FAILURE                                pause

    without a canary
    primary is ours, on our way back                 give up: too late, it is promoted
    primary is ours and runs                         done (or nothing to do, if we had not started)
    primary is ours and does not run                 wait; failed checks or the deadline end it
    primary is the one from before, after we started rolled back: by us, or by someone else
    primary is a stranger, after we started          superseded
    primary runs, before we started                  deploy the canary at the first weight (*)
    primary does not run, before we started          wait; at the deadline pause

    with a stranger's canary
    ours was promoted meanwhile                      done
    after we had started                             superseded: hands off
    before we started                                wait; at the deadline pause

    with our canary
    on our way back, or aborted                      roll back (again: it does no harm)
    canary dead                                      roll back, unless the primary is dead too: pause
    at weight 100                                    wait for the promotion; at the deadline pause
    primary sick                                     pause: going back would not help
    canary in a state that is news to this client    wait, at the deadline pause
    verdict failed                                   ``on_failure``
    at a weight that is not ours                     someone moved it: ``on_drift``; never jump from there
    not yet running at the weight asked for          wait, at the deadline roll back
    a person waved it on                             shift or promote, whatever the rules below say
    the bake is not over                             wait
    held by a gate for some time already             wait for the gate
    verdict error                                    ``on_error``
    verdict inconclusive                             ``on_inconclusive``; if both sides are bad, pause
    a gate holds the move (see ``gates.py``)         wait; ``on_timeout`` of an approval
    else                                             shift to the next weight, or promote

(*) Unless a gate holds it.

A failed verdict acts at once. An error or too little to tell act when the bake is over: a source
that comes back in the meantime has cost nothing, and nothing moves forward on what is missing.

Sights that pass by themselves (a weight in transit, a primary unhealthy for a moment, a canary
that the server does not show yet) must last ``LOOKS`` looks before they count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from anyservice_core.models.enums import ServiceState as S
from anyservice_core.rollout.actions import (
    Action,
    Deploy,
    Finish,
    Pause,
    PauseKind,
    Promote,
    Rollback,
    Shift,
    Wait,
)
from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.gates import at_start, at_step
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.observe import Observation, Seen
from anyservice_core.rollout.plan import OnDrift, OnInconclusive, OnTrouble, RolloutPlan
from anyservice_core.rollout.report import Outcome, Phase, Verdict

__all__ = ["decide", "oddity"]


class Case(NamedTuple):
    """All that a decision may depend on."""

    plan: RolloutPlan
    seen: Observation
    journal: Journal
    verdict: Verdict

    @property
    def canary(self) -> Seen:
        """Our canary: the rules about what is not there come first."""
        assert self.seen.canary is not None
        return self.seen.canary

    @property
    def late(self) -> bool:
        """Whether the present wait has lasted as long as it may."""
        return self.journal.waited_s >= self.plan.progress_deadline

    def wait(self, reason: str, otherwise: Action) -> Action:
        """Wait, and at the deadline do otherwise."""
        return otherwise if self.late else Wait(reason)


def decide(plan: RolloutPlan, seen: Observation, journal: Journal, verdict: Verdict) -> Action:
    """What to do now. ``journal`` must have taken in ``seen`` already (``Journal.look``)."""
    case = Case(plan, seen, journal, verdict)
    for rule in _RULES:
        action = rule(case)
        if action is not None:
            return action
    return _forward(case)


def oddity(plan: RolloutPlan, seen: Observation, journal: Journal) -> str | None:
    """A sight that would count if it lasts; ``None`` when all is as expected."""
    canary, primary = seen.canary, seen.primary
    if journal.started and not journal.ours_seen and seen.ours is None:
        return "our version is not there"
    if canary is None or not canary.ours or canary.weight == 100:
        return None
    if primary is None or primary.unhealthy or primary.dead:
        return f"the primary version is {primary.state if primary else 'missing'}"
    known = journal.fits(plan, canary.weight) or journal.climbing(canary.weight)
    return f"the canary is at {canary.weight} %" if canary.running and not known else None


# ── the service ─────────────────────────────────────────────────────────────


def _multi_version(case: Case) -> Action | None:
    if not case.seen.multi_version:
        return None
    return Finish(
        Outcome.FAILED,
        "this is a multi-version service, which has no one canary: roll it out by its versions",
    )


def _unknown_state(case: Case) -> Action | None:
    if case.seen.state is not S.UNKNOWN:
        return None
    why = f"the service is in a state that this version does not know{_detail(case)}"
    return case.wait(why, Finish(Outcome.FAILED, f"{why}: update anyservice"))


def _aborted_before(case: Case) -> Action | None:
    primary, why = case.seen.primary, _why_back(case)
    late = primary is not None and primary.ours and not case.seen.leaving
    if why is None or case.journal.started or late:
        return None
    return Finish(Outcome.FAILED, f"{why}; nothing had been sent")


def _why_back(case: Case) -> str | None:
    """Why the canary is to go back, if it is: decided before, or ordered since."""
    if case.journal.intent == "rollback":
        return case.journal.reason
    return f"aborted {case.journal.abort.signed}" if case.journal.abort is not None else None


def _gone(case: Case) -> Action | None:
    seen, journal = case.seen, case.journal
    if not seen.leaving:
        return None
    if journal.started:
        if journal.ours_seen or journal.sure:
            return Finish(Outcome.FAILED, "the service was terminated by someone else, and stays so")
        return Wait("the deploy is not visible yet")
    if not seen.absent:
        why = "the service is still terminating"
        return case.wait(why, Pause(PauseKind.OCCUPIED, f"{why} {_for(case)}"))
    return _begin(case, whole=True)


def _begin(case: Case, *, whole: bool) -> Action:
    held = at_start(case.plan, case.journal, case.seen.at, whole=whole)
    if isinstance(held, Rollback):  # nobody approved it in time
        return Finish(Outcome.FAILED, f"{held.reason}; nothing had been sent")
    return held or Deploy(case.plan.first_weight, whole=whole)


def _going_back(case: Case) -> Action | None:
    if case.seen.state is not S.ROLLING_BACK:
        return None
    why = "the service is rolling back"
    return case.wait(why, Pause(PauseKind.ERROR, f"{why}, and not done {_for(case)}"))


def _system_failure(case: Case) -> Action | None:
    if case.seen.state is not S.SYSTEM_FAILURE:
        return None
    return Pause(PauseKind.ERROR, f"the platform reports SYSTEM_FAILURE{_detail(case)}")


# ── no canary, or a stranger's ──────────────────────────────────────────────


def _without_canary(case: Case) -> Action | None:
    seen, journal = case.seen, case.journal
    if seen.canary is not None:
        return None
    if seen.primary is None:
        why = "the service shows no version"
        return case.wait(why, Finish(Outcome.FAILED, f"{why} {_for(case)}"))
    if seen.primary.ours:
        return _ours_is_primary(case, seen.primary)
    if journal.started:
        return _ours_is_gone(case, seen.primary)
    return _not_begun(case, seen.primary)


def _ours_is_primary(case: Case, primary: Seen) -> Action:
    if (why := _why_back(case)) is not None:
        late = f"too late to roll back, it is promoted already; it was to go back: {why}"
        return Finish(Outcome.FAILED, f"{late}{_way_back(case)}")
    if primary.running and case.seen.state is S.RUNNING:
        return _arrived(case)
    why = f"its version is {primary.state}{_detail(case)}"
    if case.verdict.phase is Phase.FAILED and primary.unhealthy:
        return Finish(Outcome.FAILED, f"{why}; there is no earlier version to go back to")
    return case.wait(why, Finish(Outcome.FAILED, f"{why}, and not running {_for(case)}"))


def _way_back(case: Case) -> str:
    before = case.journal.baseline_name
    return f"; roll out {before} again to go back to it" if before else ""


def _arrived(case: Case) -> Action:
    journal = case.journal
    if not journal.started:
        return Finish(Outcome.NO_CHANGE, "this very version is primary already")
    if journal.first_deploy or journal.target == 100:
        return Finish(Outcome.SUCCEEDED, "it serves all traffic")
    return Finish(Outcome.SUCCEEDED, "it serves all traffic; it was promoted by someone else")


def _ours_is_gone(case: Case, primary: Seen) -> Action:
    journal = case.journal
    if primary.id != journal.baseline:
        return Finish(Outcome.SUPERSEDED, f"version {primary.name} became primary meanwhile")
    if journal.intent == "rollback":
        return Finish(Outcome.ROLLED_BACK, journal.reason)
    if journal.ours_seen or journal.sure:
        return Finish(Outcome.ROLLED_BACK, f"by the platform or by someone else{_detail(case)}")
    return Wait("the deploy is not visible yet")


def _not_begun(case: Case, primary: Seen) -> Action:
    if primary.running and case.seen.state is S.RUNNING:
        return _begin(case, whole=False)
    why = f"the present version is {primary.state}, the service {case.seen.state}"
    return case.wait(why, Pause(PauseKind.PRIMARY_UNHEALTHY, f"{why} {_for(case)}: mend it first"))


def _strange_canary(case: Case) -> Action | None:
    canary, primary = case.seen.canary, case.seen.primary
    if canary is None or canary.ours:
        return None
    if case.journal.started and primary is not None and primary.ours and primary.running:
        return Finish(Outcome.SUCCEEDED, f"it became primary; a rollout of {canary.name} has begun since")
    if case.journal.started:
        return Finish(Outcome.SUPERSEDED, f"version {canary.name} took the canary's place")
    why = f"a rollout of version {canary.name} is in progress"
    return case.wait(why, Pause(PauseKind.OCCUPIED, f"{why}, and not over {_for(case)}"))


# ── our canary ──────────────────────────────────────────────────────────────


def _on_the_way_back(case: Case) -> Action | None:
    if (why := _why_back(case)) is None:
        return None
    again = Rollback(why)
    return Pause(PauseKind.ERROR, f"the rollback took no effect {_for(case)}") if case.late else again


def _dead(case: Case) -> Action | None:
    if not case.canary.dead:
        return None
    if case.seen.primary is None or case.seen.primary.dead:
        return Pause(PauseKind.PRIMARY_UNHEALTHY, "neither the canary nor the primary is alive")
    return Rollback(f"the canary is {case.canary.state}{_detail(case)}")


def _promotion_under_way(case: Case) -> Action | None:
    if case.canary.weight != 100:
        return None
    why = "at 100 %, and becoming primary"
    return case.wait(why, Pause(PauseKind.ERROR, f"{why}, but not done {_for(case)}"))


def _primary_sick(case: Case) -> Action | None:
    primary = case.seen.primary
    if primary is not None and not primary.unhealthy and not primary.dead:
        return None
    why = f"the primary version is {primary.state if primary else 'missing'}"
    if not case.journal.sure:
        return Wait(why)
    return Pause(PauseKind.PRIMARY_UNHEALTHY, f"{why}: going back to it would not help")


def _unknown_canary(case: Case) -> Action | None:
    if not case.canary.unknown:
        return None
    why = f"the canary is in a state that this version does not know{_detail(case)}"
    return case.wait(why, Pause(PauseKind.ERROR, f"{why}: update anyservice"))


def _failed(case: Case) -> Action | None:
    if case.verdict.phase is not Phase.FAILED:
        return None
    if case.plan.on_failure is OnTrouble.PAUSE:
        return Pause(PauseKind.FAILED, case.verdict.reason)
    return Rollback(case.verdict.reason)


def _drifted(case: Case) -> Action | None:
    if case.journal.oddity is None:
        return None
    why = f"{case.journal.oddity}, which was not asked for"
    if not case.journal.sure:
        return Wait(why)
    if case.plan.on_drift is OnDrift.ROLLBACK:
        return Rollback(why)
    return Pause(PauseKind.DRIFT, f"{why}: someone moved it")


def _not_settled(case: Case) -> Action | None:
    at = case.seen.settled
    if at is not None and case.journal.settled and at == case.journal.weight:
        return None
    to = f" on the way to {case.journal.target} %" if case.journal.climbing(case.canary.weight) else ""
    why = f"the canary is {case.canary.state} at {case.canary.weight} %{to}"
    return case.wait(why, Rollback(f"{why}, and no further {_for(case)}{_detail(case)}"))


def _waved_on(case: Case) -> Action | None:
    if case.journal.full:
        return Promote()
    return _forward(case) if case.journal.waved_on else None


def _baking(case: Case) -> Action | None:
    step = case.plan.step_at(case.canary.weight)
    left = step.bake - case.journal.baked_s if step else 0.0
    if left > 0:
        return Wait(f"baking at {case.canary.weight} %, {format_duration(left)} left", quiet=True)
    if case.verdict.pending:
        return Wait("the bake is over, a measurement is still to come")
    return None


def _still_held(case: Case) -> Action | None:
    """A person is needed, or a time of day, whatever the metrics say meanwhile."""
    held = case.journal.gate is not None or case.journal.hold is not None
    return _gated(case) if held else None


def _gated(case: Case) -> Action | None:
    return at_step(case.plan, case.journal, case.seen.at)


def _not_measured(case: Case) -> Action | None:
    if case.verdict.phase is not Phase.ERROR:
        return None
    if case.plan.on_error is OnTrouble.ROLLBACK:
        return Rollback(case.verdict.reason)
    return Pause(PauseKind.ERROR, case.verdict.reason)


def _inconclusive(case: Case) -> Action | None:
    if case.verdict.phase is not Phase.INCONCLUSIVE:
        return None
    if case.verdict.common_mode:
        return Pause(PauseKind.COMMON_MODE, f"{case.verdict.reason}: going back would not help")
    if case.plan.on_inconclusive is OnInconclusive.ROLLBACK:
        return Rollback(case.verdict.reason)
    if case.plan.on_inconclusive is OnInconclusive.PAUSE:
        return Pause(PauseKind.INCONCLUSIVE, case.verdict.reason)
    return None


def _forward(case: Case) -> Action:
    weight = case.plan.next_weight(case.canary.weight)
    return Promote() if weight is None else Shift(weight)


def _for(case: Case) -> str:
    return f"after {format_duration(case.journal.waited_s)}"


def _detail(case: Case) -> str:
    return f" ({case.seen.message})" if case.seen.message else ""


_RULES: Final[tuple[Callable[[Case], Action | None], ...]] = (
    _multi_version,
    _unknown_state,
    _aborted_before,
    _gone,
    _going_back,
    _system_failure,
    _without_canary,
    _strange_canary,
    _on_the_way_back,
    _dead,
    _promotion_under_way,
    _primary_sick,
    _unknown_canary,
    _failed,
    _drifted,
    _not_settled,
    _waved_on,
    _baking,
    _still_held,
    _not_measured,
    _inconclusive,
    _gated,
)
