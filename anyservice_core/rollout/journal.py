"""What a rollout remembers. A hint: it may be lost at any moment, and then costs time, never safety.

The server holds the truth, and the canary's weight is the checkpoint. What the server cannot say is
kept here: how long the present weight has baked, what was measured meanwhile, whether we are on our
way back. Where the journal and the server disagree, the server wins and the bake starts again.

Time counts only while somebody watches. Both clocks, the bake's and the progress deadline's, add up
the pauses between looks, each of them bounded; so a worker that was away for a day has baked for
nothing, and a system clock that jumps does no harm. An approval's timeout alone is by the clock on
the wall: people are asked once, whoever watches.

What people ordered is kept as they ordered it (``orders``); what follows from it is read off the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from anyservice_core.rollout.evidence import Window
from anyservice_core.rollout.observe import Observation, Seen
from anyservice_core.rollout.orders import Order, OrderKind
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import Outcome, Phase, StepReport, Verdict
from anyservice_core.rollout.tally import Tally

__all__ = ["END", "LOOKS", "MAX_GAP_S", "Journal"]

# A strange sight must last this many looks before anything is done about it.
LOOKS = 3
# The longest pause between two looks that still counts as watched, unless the poll interval is longer.
MAX_GAP_S = 60.0
# The gate at the end of a part: who runs the next one goes on from here. It keeps nobody waiting.
END = "end"
_HISTORY = 120
_ORDERS = 100


class Journal(BaseModel):
    """The memory of one rollout; frozen, and replaced as things happen."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rollout_key: str
    version_name: str
    attempt: int = 0
    started_at: float | None = None
    started: bool = False  # our deploy was accepted, or our version was seen on the server
    ours_seen: bool = False
    first_deploy: bool = False
    version: str | None = None  # id of our version
    baseline: str | None = None  # id of the version that was primary before
    baseline_name: str | None = None
    target: int | None = None  # the weight that was last asked for
    weight: int | None = None  # the weight that was last seen settled, and is therefore the present step
    seen_at: float | None = None
    settled: bool = False
    baked_s: float = 0.0
    waited_s: float = 0.0
    looked_at: float | None = None
    oddity: str | None = None
    oddity_looks: int = 0
    intent: Literal["rollback"] | None = None
    reason: str = ""
    tallies: Mapping[str, Tally] = {}
    history: Mapping[str, tuple[Window, ...]] = {}  # windows of earlier steps, to know how errors scatter
    steps: tuple[StepReport, ...] = ()
    outcome: Outcome | None = None
    condemned: bool = False  # what it is on its way back for is a failed verdict
    known_bad: bool = False
    gate: str | None = None  # the gate that holds it, if one does
    asked_at: Mapping[str, float] = {}  # when each gate of the present step was reached
    held_s: float = 0.0  # how long gates have held it at the present step
    orders: tuple[Order, ...] = ()
    orders_from: float = 0.0  # what was ordered before was about another run
    until: int | None = None  # the weight where this part of the rollout ends, if it is run in parts

    def replace(self, **changes: Any) -> Journal:
        return self.model_copy(update=changes)

    def look(self, plan: RolloutPlan, seen: Observation, max_gap_s: float = MAX_GAP_S) -> Journal:
        """Take in what was just seen: the clocks, the present step, and whose versions these are."""
        gap = max(seen.at - self.looked_at, 0.0) if self.looked_at is not None else 0.0
        known = self._recognise(seen)
        held = known.held_s + gap if known.gate not in {None, END} else known.held_s
        ticked = known.replace(held_s=held)._tick(plan, seen, min(gap, max_gap_s))  # noqa: SLF001
        return ticked.replace(looked_at=seen.at)

    def note(self, oddity: str | None) -> Journal:
        """Count how many looks in a row showed the same strange sight."""
        looks = (
            self.oddity_looks + 1 if oddity is not None and oddity == self.oddity else int(oddity is not None)
        )
        return self.replace(oddity=oddity, oddity_looks=looks)

    @property
    def sure(self) -> bool:
        """Whether the strange sight lasted long enough to be believed."""
        return self.oddity is not None and self.oddity_looks >= LOOKS

    def fits(self, plan: RolloutPlan, weight: int) -> bool:
        """Whether ``weight`` is one that this rollout may be at: of the plan or asked for, and no way back."""
        if weight < max(self.weight or 0, self.target or 0):
            return False
        return weight in plan.weights or weight == self.target

    def climbing(self, weight: int) -> bool:
        """Whether a canary at ``weight`` is on its way to a greater one that was asked for."""
        return self.target is not None and (self.weight or 0) <= weight < self.target

    def _tick(self, plan: RolloutPlan, seen: Observation, gap_s: float) -> Journal:
        weight = seen.settled
        if weight is None or weight == 100 or not self.fits(plan, weight):
            waited = self.waited_s + gap_s if self.gate is None else self.waited_s
            return self.replace(settled=False, waited_s=waited)
        if weight != self.weight:
            return self._arrive(weight, seen.at)
        baked = self.baked_s + (gap_s if self.settled else 0.0)
        return self.replace(settled=True, baked_s=baked, waited_s=0.0)

    def _arrive(self, weight: int, at: float) -> Journal:
        """Begin a step: its clock and its measurements start from nothing."""
        spent = {name: (*self.history.get(name, ()), *tally.windows) for name, tally in self.tallies.items()}
        return self.replace(
            weight=weight,
            seen_at=at,
            settled=True,
            baked_s=0.0,
            waited_s=0.0,
            held_s=0.0,
            gate=None,
            asked_at={},
            tallies={},
            history={name: windows[-_HISTORY:] for name, windows in spent.items()},
        )

    def _recognise(self, seen: Observation) -> Journal:
        if seen.ours is None or seen.leaving:
            return self
        other = seen.primary if seen.primary and not seen.primary.ours else None
        return self.replace(
            started=self.started or seen.canary is seen.ours,
            ours_seen=True,
            version=seen.ours.id,
            first_deploy=self.first_deploy and seen.canary is not seen.ours,
            baseline=self.baseline or (other.id if other else None),
            baseline_name=self.baseline_name or (other.name if other else None),
        )

    def close_step(self, verdict: Verdict) -> Journal:
        """Write the present step, if any, into the account of those that were held."""
        if self.weight is None or self.seen_at is None:
            return self
        step = StepReport(
            weight=self.weight,
            seen_at=self.seen_at,
            baked_s=self.baked_s,
            held_s=self.held_s,
            phase=verdict.phase,
            findings=verdict.findings,
        )
        others = tuple(
            done for done in self.steps if (done.weight, done.seen_at) != (step.weight, step.seen_at)
        )
        return self.replace(steps=(*others, step))

    def deployed(self, baseline: Seen | None, weight: int) -> Journal:
        """Our version was accepted; ``baseline`` is what it is to replace, ``None`` if it came up whole."""
        return self.replace(
            started=True,
            first_deploy=baseline is None,
            baseline=baseline.id if baseline else None,
            baseline_name=baseline.name if baseline else None,
            target=weight,
            waited_s=0.0,
        )

    def asked(self, weight: int) -> Journal:
        """A greater weight was accepted; nothing bakes until it is seen."""
        return self.replace(target=weight, settled=False, waited_s=0.0)

    def turned_back(self, reason: str, verdict: Verdict) -> Journal:
        """The canary is to be taken back, and that stays so."""
        condemned = verdict.phase is Phase.FAILED
        return self.replace(intent="rollback", reason=reason, condemned=condemned, waited_s=0.0)

    # ── gates and orders ──

    def at_gate(self, gate: str | None, at: float) -> Journal:
        """What holds it now. A gate is reached once a step: its timeout runs on behind another gate."""
        if gate == self.gate:
            return self
        reached = {gate: at, **self.asked_at} if gate is not None else self.asked_at
        return self.replace(gate=gate, asked_at=reached)

    def heed(self, order: Order, gate: str | None) -> Journal:
        """Take an order in, once, unless it is of another run. ``gate`` is what it is about if it does not say so."""
        if order.at < self.orders_from or any(order.id == known.id for known in self.orders):
            return self
        stamped = order.model_copy(update={"weight": self.weight, "gate": order.gate or gate})
        return self.replace(orders=(*self.orders, stamped)[-_ORDERS:])

    @property
    def abort(self) -> Order | None:
        """The order to take the canary back."""
        return next((order for order in self.orders if order.kind is OrderKind.ABORT), None)

    @property
    def hold(self) -> Order | None:
        """The order to pause that holds now."""
        kinds = {OrderKind.PAUSE, OrderKind.RESUME, OrderKind.PROMOTE, OrderKind.PROMOTE_FULL}
        last = next((order for order in reversed(self.orders) if order.kind in kinds), None)
        return last if last is not None and last.kind is OrderKind.PAUSE else None

    @property
    def full(self) -> bool:
        """Whether it was ordered to leave out the steps that remain."""
        return any(order.kind is OrderKind.PROMOTE_FULL for order in self.orders) and self.hold is None

    @property
    def waved_on(self) -> bool:
        """Whether it was ordered to go on from the present step."""
        waved = any(order.kind is OrderKind.PROMOTE and order.weight == self.weight for order in self.orders)
        return (waved or self.full) and self.hold is None

    def approval(self, gate: str) -> Order | None:
        """The first order that opened ``gate``."""
        return next((o for o in self.orders if o.kind is OrderKind.APPROVE and o.gate == gate), None)

    @classmethod
    def fresh(cls, key: str, version_name: str, attempt: int, at: float) -> Journal:
        """The memory of a rollout that begins."""
        return cls(rollout_key=key, version_name=version_name, attempt=attempt, started_at=at, orders_from=at)

    def resumed(self, at: float) -> Journal:
        """The memory to go on with. After an end, everything is asked anew: a person has looked at it."""
        if self.outcome is None or self.known_bad:
            return self
        paused = self.outcome is Outcome.PAUSED
        return Journal(
            rollout_key=self.rollout_key,
            version_name=self.version_name,
            attempt=self.attempt,
            started_at=self.started_at if paused else at,
            started=self.started and paused,
            ours_seen=self.ours_seen and paused,
            version=self.version,
            baseline=self.baseline if paused else None,
            baseline_name=self.baseline_name if paused else None,
            history=self.history if paused else {},
            steps=self.steps if paused else (),
            orders=tuple(order for order in self.orders if order.kind is OrderKind.APPROVE) if paused else (),
            orders_from=(self.looked_at or at) if paused else at,
        )

    @property
    def mark(self) -> tuple[Any, ...]:
        """What is worth saving at once when it changes; the clocks are not."""
        counts = (len(self.steps), len(self.orders))
        return (
            *(self.started, self.ours_seen, self.target, self.weight, self.intent, self.outcome),
            *(self.gate, *counts),
        )
