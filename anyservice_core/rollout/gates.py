"""What may hold a rollout at a weight although all is well: people, and the time of day.

Gates hold moves forward only: the deploy, a greater weight, the promotion. A canary that fails behind a closed gate
is taken back all the same. While a gate holds, the progress deadline stands still, and what the metrics
cannot say is no reason to stop: it is asked again when the gate opens.

In this order: an order to pause, the approval of the step, the approval of the promotion, the end of this part (see
``parts.py``), the windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from anyservice_core.rollout.actions import Action, Pause, PauseKind, Rollback, Wait
from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.journal import END, Journal
from anyservice_core.rollout.orders import PROMOTION
from anyservice_core.rollout.plan import Approval, OnTimeout, RolloutPlan
from anyservice_core.rollout.windows import Move, closed

__all__ = ["END", "PAUSED", "asked", "at_start", "at_step"]

PAUSED: Final = "pause"


def at_start(plan: RolloutPlan, journal: Journal, at: float, *, whole: bool) -> Action | None:
    """What holds the deploy. Without steps it is the promotion too, unless it comes up ``whole``."""
    if journal.waved_on:
        return None
    at_once = not plan.steps and not whole
    approvals = {PROMOTION: plan.promotion} if at_once else {}
    moves = (Move.START, Move.PROMOTE) if at_once else (Move.START,)
    ends = at_once and journal.until is not None
    return next(_holding(plan, journal, at, _Ahead("the deploy", approvals, moves, ends=ends)), None)


def at_step(plan: RolloutPlan, journal: Journal, at: float) -> Action | None:
    """What holds a canary that is baked and fine at the present weight, or what comes of having waited too long."""
    weight = journal.weight or 0
    last = plan.next_weight(weight) is None
    what = "the promotion" if last else f"the next weight after {weight} %"
    moves = (Move.PROMOTE if last else Move.ADVANCE,)
    ends = journal.until is not None and weight >= journal.until
    return next(_holding(plan, journal, at, _Ahead(what, _approvals(plan, weight), moves, ends=ends)), None)


def asked(plan: RolloutPlan, journal: Journal) -> str | None:
    """The gate that an approval is about when it does not say so: the next that asks for one."""
    gates = _approvals(plan, journal.weight or 0)
    return next((gate for gate, wanted in gates.items() if wanted and not journal.approval(gate)), None)


def _approvals(plan: RolloutPlan, weight: int) -> dict[str, Approval | None]:
    step, last = plan.step_at(weight), plan.next_weight(weight) is None
    own = {str(step.weight): step.approval} if step else {}
    return {**own, PROMOTION: plan.promotion} if last else own


class _Ahead(NamedTuple):
    """A move forward, and what it needs."""

    what: str
    approvals: Mapping[str, Approval | None]
    moves: Sequence[Move]
    ends: bool  # whether it is for the next part to make


def _holding(plan: RolloutPlan, journal: Journal, at: float, ahead: _Ahead) -> Iterator[Action]:
    if (order := journal.hold) is not None:
        yield Wait(f"paused {order.signed}", gate=PAUSED)
    for gate, approval in ahead.approvals.items():
        what = f"the step at {gate} %" if gate != PROMOTION else ahead.what
        if approval is not None and (action := _unapproved(journal, gate, approval, at, what)):
            yield action
    if ahead.ends:
        yield Wait(f"this part of the rollout is over: {ahead.what} is for the next", gate=END)
    for move in ahead.moves:
        if (shut := closed(plan.windows, move, at)) is not None:
            why = f"{ahead.what} waits for its time, {shut.reason}{_opens(shut.opens_at)}"
            yield Wait(why, gate=f"window:{move.value}", until=shut.opens_at)


def _unapproved(journal: Journal, gate: str, approval: Approval, at: float, what: str) -> Action | None:
    until = journal.asked_at.get(gate, at) + approval.timeout if approval.timeout is not None else None
    given = journal.approval(gate)
    if given is not None and (until is None or given.at <= until):
        return None
    if until is None or at < until:
        return Wait(f"{what} waits for an approval{_within(approval)}", gate=gate, until=until)
    why = f"nobody approved {what} within {format_duration(approval.timeout or 0)}"
    ends: Mapping[OnTimeout, Action] = {
        OnTimeout.ROLLBACK: Rollback(why),
        OnTimeout.PAUSE: Pause(PauseKind.APPROVAL, why),
    }
    return ends.get(approval.on_timeout)


def _within(approval: Approval) -> str:
    if approval.timeout is None:
        return ""
    end = {
        OnTimeout.ROLLBACK: "it is taken back",
        OnTimeout.PAUSE: "it pauses",
        OnTimeout.PROMOTE: "it goes on",
    }[approval.on_timeout]
    return f", without one in {format_duration(approval.timeout)} {end}"


def _opens(at: float | None) -> str:
    return "" if at is None else f"; it may from {datetime.fromtimestamp(at, UTC):%a %d %b %H:%M} UTC"
