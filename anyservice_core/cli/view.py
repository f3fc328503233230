"""Where a rollout stands, put together from what it tells and what it saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from anyservice_core.rollout.actions import Wait
from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.gates import at_start, at_step
from anyservice_core.rollout.journal import MAX_GAP_S, Journal
from anyservice_core.rollout.judge import judge
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import Finding, Phase

__all__ = ["View", "Watch"]

_MOVING: Final = frozenset({Kind.DEPLOYING, Kind.SHIFTING, Kind.PROMOTING, Kind.ROLLING_BACK, Kind.FINISHED})


@dataclass(frozen=True, slots=True)
class View:
    """A rollout at one moment. ``weight`` is the canary's as last seen, ``step`` the one that it bakes at.

    ``doing`` is what happens or is waited for; ``gate`` what holds it, and ``until`` when that ends by itself,
    seconds since the epoch. ``flags`` are those that commands about it need. ``baked_at`` is when ``baked_s`` was true, ``None`` while the clock stands.
    """

    service: str = ""
    version: str = ""
    plan: RolloutPlan | None = None
    weight: int | None = None
    step: int | None = None
    baked_s: float = 0.0
    baked_at: float | None = None
    findings: tuple[Finding, ...] = ()
    doing: str = ""
    trouble: str = ""
    gate: str | None = None
    until: float | None = None
    started_at: float | None = None
    now: float = 0.0
    flags: str = ""

    @property
    def bake_s(self) -> float:
        """How long the present step is watched."""
        step = self.plan.step_at(self.step) if self.plan and self.step is not None else None
        return step.bake if step else 0.0

    @property
    def baked_now_s(self) -> float:
        """How long it has been: the clock runs on for a while between two saves, not for ever."""
        since = self.now - self.baked_at if self.baked_at is not None else 0.0
        return self.baked_s + min(max(since, 0.0), MAX_GAP_S)


@dataclass
class Watch:
    """Takes in what a rollout tells and saves, and gives a view of it at any moment."""

    known: View = field(default_factory=View)

    def see(self, event: Event) -> None:
        """An event."""
        base = replace(
            self.known,
            service=event.service,
            version=event.version,
            weight=event.weight,
            trouble="",
            now=event.at,
            started_at=self.known.started_at if self.known.started_at is not None else event.at,
        )
        self.known = self._with(base, event)

    def keep(self, journal: Journal) -> None:
        """What it remembers: the clock, and what all metrics say by now."""
        plan = self.known.plan
        known = self._held(journal)
        self.known = replace(
            known,
            version=journal.version_name,
            step=journal.weight,
            baked_s=journal.baked_s,
            baked_at=journal.looked_at if journal.settled else None,
            findings=judge(plan, journal).findings if plan else known.findings,
            started_at=journal.started_at,
            now=journal.looked_at or known.now,
        )

    def _held(self, journal: Journal) -> View:
        """With what holds it: a process that goes on with a rollout does not tell again what it waits for."""
        known, plan = self.known, self.known.plan
        if journal.gate is None:
            return known if known.gate is None else _free(known)
        if journal.gate == known.gate or plan is None:
            return known
        now = journal.looked_at or known.now
        begun = journal.weight is not None
        held = at_step(plan, journal, now) if begun else at_start(plan, journal, now, whole=False)
        if not isinstance(held, Wait):
            return known
        return replace(known, doing=held.reason, gate=held.gate, until=held.until)

    def _with(self, base: View, event: Event) -> View:
        match event.kind:
            case Kind.STARTED:
                return replace(base, plan=RolloutPlan.parse(event.data["plan"]))
            case Kind.BAKING:
                fresh = replace(_free(base), step=event.weight, findings=())
                return replace(fresh, baked_s=0.0, baked_at=event.at)
            case Kind.MEASURED:
                return replace(base, findings=_measured(base.findings, event))
            case Kind.WAITING:
                gate, until = event.data.get("gate"), event.data.get("until")
                return replace(base, doing=event.message, gate=gate, until=until)
            case Kind.TROUBLE:
                return replace(base, trouble=event.message)
            case kind if kind in _MOVING:
                return replace(_free(base), doing=event.message, baked_at=None)
        return base


def _free(view: View) -> View:
    return replace(view, doing="", gate=None, until=None)


def _measured(findings: Sequence[Finding], event: Event) -> tuple[Finding, ...]:
    name = str(event.data["metric"])
    said = event.message.removeprefix(f"{name}: ")
    new = Finding(
        metric=name, phase=Phase(event.data["phase"]), message=said, numbers=event.data.get("numbers", {})
    )
    known = [new if finding.metric == name else finding for finding in findings]
    return tuple(known if new in known else [*known, new])
