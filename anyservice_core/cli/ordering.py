"""``anyservice rollout approve promote pause resume abort``: what people ask of a rollout.

An order is a file beside the rollout's memory. Whoever runs the rollout takes it in at the next look, and it stays in
the report with its author and reason. Where nobody runs it, it waits until somebody does; only ``abort`` does not
wait, and takes the canary back itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from anyservice_core.cli.known import Asked, clock, someone, with_rollout
from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import manners, with_output
from anyservice_core.cli.options import connected
from anyservice_core.cli.progress import say

if TYPE_CHECKING:
    from anyservice_core.client import Client
    from anyservice_core.errors import ConflictError
    from anyservice_core.ledger import Ledger
    from anyservice_core.rollout import Journal, RolloutPlan
    from anyservice_core.rollout.orders import Order

__all__ = ["abort", "approve", "pause", "promote", "resume"]

F = TypeVar("F", bound=Callable[..., Any])

_ASKED: Final = {
    "approve": "has its approval of {}",
    "promote": "is to go on from its present step",
    "promote-full": "is to be promoted to all traffic",
    "pause": "is to hold its weight",
    "resume": "is to go on",
    "abort": "is to be taken back",
}
_output: Final = with_output("text", "json", "yaml")
_reason: Final = click.option("--reason", default="", help="Why; it is told and kept in the report.")


def _signed(function: F) -> F:
    return click.option("--by", help="Who asks for it.  [default: you, on this machine]")(function)


@click.command(cls=Command)
@with_rollout
@click.option("--gate", help="The weight of its step, or `promotion`.  [default: the one that waits]")
@_reason
@_signed
@_output
def approve(*, gate: str | None, reason: str, by: str | None, **given: Any) -> None:
    r"""Say yes to a rollout that waits for a person, or will.

    An approval that comes after its time-out changes nothing.

    \b
      anyservice rollout approve recommender
      anyservice rollout approve recommender --gate promotion --reason "looked at the dashboards"
    """
    asked = Asked(given)
    with connected(asked.link) as client:
        ledger, journal = _open(asked, client)
        now = clock(client)
        about = _gate(ledger, journal, gate, now)
        order = _order(client, "approve", by, reason, gate=about)
        _give(ledger, order)


@click.command(cls=Command)
@with_rollout
@click.option("--full", is_flag=True, help="Leave out the steps that remain, too.")
@click.option("--reason", required=True, help="Why; it is told and kept in the report.")
@_signed
@_output
def promote(*, full: bool, reason: str, by: str | None, **given: Any) -> None:
    r"""Go on from the present step at once: past its bake, approvals, closed windows, numbers that do not say enough.

    A verdict that the canary is worse still takes it back. The reason is required, as it overrides the plan.

    \b
      anyservice rollout promote recommender --reason "verified by hand"
      anyservice rollout promote recommender --full --reason "fixes the outage"
    """
    asked = Asked(given)
    with connected(asked.link) as client:
        ledger, _ = _open(asked, client)
        order = _order(client, "promote-full" if full else "promote", by, reason)
        _give(ledger, order)


@click.command(cls=Command)
@with_rollout
@_reason
@_signed
@_output
def pause(*, reason: str, by: str | None, **given: Any) -> None:
    r"""Hold the present weight until `resume`. A canary that fails meanwhile is taken back all the same.

    \b
      anyservice rollout pause recommender --reason "the database is being moved"
    """
    asked = Asked(given)
    with connected(asked.link) as client:
        ledger, _ = _open(asked, client)
        _give(ledger, _order(client, "pause", by, reason))


@click.command(cls=Command)
@with_rollout
@_reason
@_signed
@_output
def resume(*, reason: str, by: str | None, **given: Any) -> None:
    r"""End a pause that `rollout pause` began.

    A rollout that has paused by itself has ended its process: it is resumed by running it again, and `rollout status`
    shows how.

    \b
      anyservice rollout resume recommender
    """
    asked = Asked(given)
    with connected(asked.link) as client:
        ledger, journal = _open(asked, client)
        _check_paused(ledger, journal)
        _give(ledger, _order(client, "resume", by, reason))


@click.command(cls=Command)
@with_rollout
@_reason
@_signed
@_output
def abort(*, reason: str, by: str | None, **given: Any) -> None:
    r"""Take the canary back, and end the rollout.

    Whoever runs the rollout does it. Where nobody does, this command does it itself and waits for the end; it takes
    back no other version than the one that the rollout brought.

    \b
      anyservice rollout abort recommender --reason "wrong model"
    """
    from anyservice_core.cli.aborting import take_back

    asked = Asked(given)
    with connected(asked.link) as client:
        ledger, journal = _open(asked, client)
        order = _order(client, "abort", by, reason)
        if ledger.running():
            _give(ledger, order)
        else:
            take_back(client, ledger, journal, order)


# ── may it be asked ─────────────────────────────────────────────────────────


def _open(asked: Asked, client: Client) -> tuple[Ledger, Journal]:
    """A rollout that is not over. Raises ``ConflictError`` where it is."""
    ledger = asked.ledger(client)
    journal = ledger.journal()
    if journal is None or not ledger.open:
        end = (
            f"{journal.outcome.replace('_', ' ')}: {journal.reason}"
            if journal and journal.outcome
            else "forgotten"
        )
        raise _conflict(f"The rollout of {ledger.place.service!r} is over: {end}.", None)
    return ledger, journal


def _conflict(message: str, hint: str | None) -> ConflictError:
    from anyservice_core.errors import ConflictError

    return ConflictError(message, status=409, hint=hint)


def _gate(ledger: Ledger, journal: Journal, given: str | None, now: float) -> str:
    """The gate that an approval is about, checked against the plan."""
    from anyservice_core.rollout.gates import asked

    plan = ledger.plan()
    if plan is None:
        return _named(given or journal.gate)
    gates = _gates(plan)
    if not gates:
        raise _conflict(
            f"The plan of {ledger.place.service!r} asks for no approval.",
            "`anyservice rollout promote` goes on from the present step.",
        )
    gate = given or asked(plan, journal)
    if gate not in gates:
        what = (
            f"--gate: {given!r} is none of its gates"
            if given
            else "No gate of the present step waits for an approval"
        )
        raise click.UsageError(f"{what}: there are {', '.join(gates)}.")
    _check_in_time(plan, journal, gate, now)
    return gate


def _named(gate: str | None) -> str:
    if not gate:
        raise click.UsageError("--gate: missing, as the plan is not known any longer.")
    return gate


def _gates(plan: RolloutPlan) -> list[str]:
    from anyservice_core.rollout.orders import PROMOTION

    steps = [str(step.weight) for step in plan.steps if step.approval]
    return [*steps, PROMOTION] if plan.promotion else steps


def _check_in_time(plan: RolloutPlan, journal: Journal, gate: str, now: float) -> None:
    """An approval after the time-out is none. One that has paused asks anew when it is run again."""
    approvals = {**{str(step.weight): step.approval for step in plan.steps}, "promotion": plan.promotion}
    approval, since = approvals[gate], journal.asked_at.get(gate)
    if approval is None or approval.timeout is None or since is None or journal.outcome is not None:
        return
    if now > since + approval.timeout:
        raise _conflict(
            f"Too late: nobody approved it in time, and the plan says {approval.on_timeout.value} then.",
            "`anyservice rollout promote` goes on all the same.",
        )


def _check_paused(ledger: Ledger, journal: Journal) -> None:
    from anyservice_core.rollout.orders import OrderKind
    from anyservice_core.rollout.report import Outcome

    name = ledger.place.service
    if journal.outcome is Outcome.PAUSED:
        raise _conflict(
            f"The rollout of {name!r} has paused by itself: {journal.reason}.",
            f"Run it again: {ledger.place.command}" if ledger.place.command else "Run it again.",
        )
    ordered = any(order.kind is OrderKind.PAUSE and order not in journal.orders for order in ledger.orders())
    if journal.hold is None and not ordered:
        raise _conflict(f"The rollout of {name!r} is not paused.", None)


# ── asking it ───────────────────────────────────────────────────────────────


def _order(client: Client, kind: str, by: str | None, reason: str, gate: str | None = None) -> Order:
    from anyservice_core.rollout.orders import Order, OrderKind

    return Order(kind=OrderKind(kind), at=clock(client), by=by or someone(), reason=reason, gate=gate)


def _give(ledger: Ledger, order: Order) -> None:
    """Leave the order, and say when it takes effect."""
    from anyservice_core.cli import render

    ledger.order(order)
    holder = ledger.running()
    if holder:
        then = f"Process {holder.pid} on {holder.host} takes it in at its next look."
    else:
        again = f": {ledger.place.command}" if ledger.place.command else "."
        then = f"No process runs it now, so it takes effect when it is run again{again}"
    say(f"{ledger.place.service} {_ASKED[order.kind.value].format(_gate_in_words(order.gate))}. {then}")
    if manners().output != "text":
        render.show({"order": order.model_dump(mode="json"), "process": holder.to_dict() if holder else None})


def _gate_in_words(gate: str | None) -> str:
    return f"the step at {gate} %" if gate and gate.isdecimal() else f"the {gate}"
