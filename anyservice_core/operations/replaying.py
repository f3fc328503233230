"""The replay itself: the engine's own journal, judge and decisions, on looks that are made up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final, NamedTuple

from anyservice_core.effects import Op, Report
from anyservice_core.errors import ConfigError
from anyservice_core.models.enums import ServiceState
from anyservice_core.models.status import ServiceStatus
from anyservice_core.operations.measuring import measure
from anyservice_core.rollout.actions import Action, Pause, Promote, Rollback, Shift
from anyservice_core.rollout.decide import decide
from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.facts import would
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.judge import judge
from anyservice_core.rollout.observe import Observation, Seen
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.replay import (
    A_MOMENT_S,
    Backtest,
    LeftOut,
    Replaying,
    most_queries,
    queries_of,
)
from anyservice_core.rollout.report import Outcome, RolloutReport, Verdict
from anyservice_core.rollout.tally import Tally
from anyservice_core.rollout.telling import Line, arrival, measurements, opening

__all__ = ["Replay"]

_TOLD: Final = 5  # percent between two reports of progress
_RETRY_S: Final = 10.0


class _End(NamedTuple):
    at: float
    outcome: Outcome
    reason: str
    pause: str | None = None


@dataclass
class Replay:
    """One replay under way; ``at`` is the moment of the past that it has come to.

    ``sides`` are canary and primary, ``known`` is the service as it is now. ``walked``: the plan's steps one by one,
    to the end that the rollout would have had; else all of the interval at the last step's weight, so that one sees
    what would have come of waiting longer. ``allowed`` bounds the requests to the stores.
    """

    plan: RolloutPlan
    interval: tuple[float, float]
    sides: tuple[Seen, Seen]
    known: ServiceStatus | None
    missing: tuple[LeftOut, ...]
    walked: bool
    allowed: int
    at: float = 0.0
    weight: int = 0
    queries: int = 0
    told: int = 0
    end: _End | None = None
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        weights = self.plan.weights
        self.at, self.weight = self.interval[0], weights[0] if self.walked else weights[-1]
        self.journal = Journal.fresh("backtest", self.sides[0].name, 0, self.at).asked(self.weight)

    def run(self) -> Op[Backtest]:
        self._open()
        verdict = yield from self._look()
        while not self._over(verdict):
            self.at = self._next_look()
            yield from self._progress()
            verdict = yield from self._look()
            while self.end is None and self._moved(verdict):
                verdict = yield from self._look()
        return self._result(verdict)

    # ── looking ──

    def _look(self) -> Op[Verdict]:
        """Measure what is due at this moment of the past, and judge."""
        seen, before = self._seen(), self.journal
        self.journal = before.look(self.plan, seen, inf)
        self._tell(arrival(self.plan, before, self.journal))
        self.journal, asked = yield from measure(self.plan, self.journal, seen)
        verdict = self._judged()
        self._tell(measurements(verdict, asked))
        self.queries += sum(queries_of(metric) for metric in self.plan.metrics if metric.name in asked)
        return verdict

    def _seen(self) -> Observation:
        canary, primary = self.sides
        return Observation(
            at=self.at,
            state=ServiceState.ROLLING_OUT,
            service_id=self.known.id if self.known else "",
            service=self.known.name if self.known else "",
            canary=replace(canary, weight=self.weight),
            primary=replace(primary, weight=100 - self.weight),
        )

    def _judged(self) -> Verdict:
        """The verdict, without a word on health, which nobody has looked at."""
        verdict = judge(self.plan, self.journal)
        names = {metric.name for metric in self.plan.metrics}
        found = tuple(one for one in verdict.findings if one.metric in names)
        return verdict.model_copy(update={"findings": found})

    def _next_look(self) -> float:
        """The next moment at which a metric may be due, or the bake over."""
        began, step = self.journal.seen_at or self.at, self.plan.step_at(self.weight)
        moments = [self.interval[1], began + (step.bake if step else 0.0) + A_MOMENT_S]
        for metric in self.plan.metrics:
            tally = self.journal.tallies.get(metric.name, Tally())
            moments.append(began + metric.lead_s if tally.at is None else tally.at + metric.every_s)
            if tally.errors_in_row:
                moments.append(self.at + min(_RETRY_S, metric.every_s))
        return min(moment for moment in moments if moment > self.at)

    # ── deciding ──

    def _moved(self, verdict: Verdict) -> bool:
        """Whether the weight would have been moved on; an end is noted."""
        action = decide(self.plan, self._seen(), self.journal, verdict)
        if isinstance(action, Shift):
            self.journal = self.journal.close_step(verdict).asked(action.weight)
            self._say(Kind.SHIFTING, f"would go on to {action.weight} %", to=action.weight)
            self.weight = action.weight
            return True
        if (end := _end_of(action, self.at)) is not None:
            self._finish(end, verdict)
        return False

    def _over(self, verdict: Verdict) -> bool:
        """Whether nothing more is to be learnt, or asked."""
        why = self._unreadable() or self._used_up()
        if why is not None and self.end is None:
            self._finish(_End(self.at, Outcome.PAUSED, why, "error"), verdict)
        return why is not None or self.at >= self.interval[1] or (self.walked and self.end is not None)

    def _unreadable(self) -> str | None:
        """Why it makes no sense to go on asking. Raises ``ConfigError`` where there was never an answer."""
        for metric in self.plan.metrics:
            tally = self.journal.tallies.get(metric.name, Tally())
            if tally.errors_in_row <= metric.consecutive_error_limit:
                continue
            why = (
                f"{metric.name}: could not be measured {tally.errors_in_row} times in a row: {tally.trouble}"
            )
            if not tally.measured:
                raise ConfigError(
                    f"metrics: {why}.", hint="Mend it in the plan, or see whether its store is up."
                )
            return why
        return None

    def _used_up(self) -> str | None:
        """What fails is asked again sooner, so it may take more requests than were reckoned with."""
        most = sum(map(queries_of, self.plan.metrics))
        if self.queries + most <= self.allowed:
            return None
        return f"the {self.allowed} requests to the metric stores that are allowed were used up"

    def _finish(self, end: _End, verdict: Verdict) -> None:
        self.end, self.journal = end, self.journal.close_step(verdict)
        if self.walked:
            ends = {Outcome.SUCCEEDED: 100, Outcome.ROLLED_BACK: 0}
            self.weight = ends.get(end.outcome, self.weight)
        message = f"{would(end.outcome)}: {end.reason}"
        self._say(Kind.FINISHED, message, outcome=end.outcome.value)

    # ── telling ──

    def _open(self) -> None:
        canary, primary = self.sides
        line = next(opening(self.plan, self.journal, self._seen(), known=True))
        self._tell([line._replace(message=f"replaying the plan on {canary.name} beside {primary.name}")])

    def _tell(self, lines: Iterable[Line]) -> None:
        for kind, message, data in lines:
            self._say(kind, message, **data)

    def _say(self, kind: Kind, message: str, **data: Any) -> None:
        service = self.known.name if self.known else "backtest"
        self.events.append(Event(kind, service, self.sides[0].name, self.weight, message, self.at, data))

    def _progress(self) -> Op[None]:
        start, end = self.interval
        length_s = min(self.plan.bake_s, end - start) if self.walked else end - start
        percent = min(100, round(100 * (self.at - start) / length_s)) if length_s else 100
        if percent >= self.told + _TOLD:
            self.told = percent
            yield from Report(Replaying(percent, self.queries, most_queries(self.plan, length_s)))

    def _result(self, verdict: Verdict) -> Backtest:
        decided = self.end
        if decided is None:
            why = f"the interval was over before the plan, at {self.weight} %: {verdict.reason}"
            self._finish(_End(self.at, Outcome.PAUSED, why), verdict)
        assert self.end is not None
        canary, primary = self.sides
        report = RolloutReport(
            outcome=self.end.outcome,
            service=self.events[0].service,
            service_id=self.known.id if self.known else "",
            version_name=canary.name,
            version=canary.id,
            baseline_version=primary.id,
            baseline_name=primary.name,
            reason=self.end.reason,
            pause=self.end.pause,
            steps=self.journal.steps,
            started_at=self.interval[0],
            ended_at=self.end.at,
            replayed=True,
        )
        return Backtest(
            report=report,
            events=tuple(self.events),
            start=self.interval[0],
            end=self.interval[1],
            decided_at=decided.at if decided else None,
            left_out=self.missing,
            walked=self.walked,
            queries=self.queries,
        )


def _end_of(action: Action, at: float) -> _End | None:
    match action:
        case Promote():
            return _End(at, Outcome.SUCCEEDED, "nothing spoke against it")
        case Rollback(reason):
            return _End(at, Outcome.ROLLED_BACK, reason)
        case Pause(kind, reason):
            return _End(at, Outcome.PAUSED, reason, kind.value)
    return None
