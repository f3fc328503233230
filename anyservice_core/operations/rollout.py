"""A progressive rollout, from the first look to its end.

One loop: look at the service, measure what is due, decide, act, save, sleep. All thinking is in
``rollout.decide``; all that is here is how to look, how to act, and whom to tell. It may be stopped
at any point, by ``kill -9`` too, and run again: the next run finds its version by name and goes on
from the weight that the server shows.

Reads are forgiving: an answer that fails to come costs a look, until ``progress_deadline`` has
passed without any. Writes are not repeated: after one that failed, the service is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyservice_core.effects import Now, Op, Orders, Report, Save, Sleep
from anyservice_core.errors import (
    AnyserviceError,
    AuthError,
    ConfigError,
    ConflictError,
    NotFoundError,
    RejectedError,
    TransportError,
    UnavailableError,
)
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.wire import ApplyService
from anyservice_core.operations import deploying, services
from anyservice_core.operations.measuring import measure
from anyservice_core.operations.moving import begin, compose, move, take_back
from anyservice_core.rollout.actions import Action, Deploy, Finish, Pause, Promote, Rollback, Shift, Wait
from anyservice_core.rollout.decide import decide, oddity
from anyservice_core.rollout.ending import raise_if_lost, report_of
from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.gates import asked as gate_asked
from anyservice_core.rollout.journal import MAX_GAP_S, Journal
from anyservice_core.rollout.judge import judge
from anyservice_core.rollout.observe import Observation, observe
from anyservice_core.rollout.orders import Order
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import Outcome, RolloutReport, Verdict
from anyservice_core.rollout.resuming import resume
from anyservice_core.rollout.telling import Line, arrival, measurements, opening

__all__ = ["Rollout", "opened", "rollout"]

SAVE_EVERY_S = 15.0
_CONFLICTS = 3


def rollout(
    config: ServiceConfig | Mapping[str, Any] | str | Path,
    plan: RolloutPlan | Mapping[str, Any] | str | Path,
    *,
    journal: Journal | Mapping[str, Any] | None = None,
    force: bool = False,
    poll_interval_s: float = 2.0,
    cloud: str | None = None,
    project: str | None = None,
) -> Op[RolloutReport]:
    """Bring a version to all traffic step by step, and take it back if it is worse. Returns when it is over.

    ``config`` and ``plan`` are models, mappings or paths of YAML files. ``journal`` is what an earlier
    run saved, if any. A version that a rollout has condemned is not tried again unless ``force``.
    The service is looked at every ``poll_interval_s`` seconds, or more often if a metric asks for it.

    Returns the report of a promotion, or of nothing to do. Raises ``RolledBackError``,
    ``RolloutPausedError``, ``SupersededError`` or ``RolloutError``, with the report as ``report``;
    ``ConfigError`` and ``PlanError`` before anything is done.
    """
    run = yield from opened(
        config,
        plan,
        journal=journal,
        force=force,
        poll_interval_s=poll_interval_s,
        cloud=cloud,
        project=project,
    )
    return (yield from run.loop())


def opened(
    config: ServiceConfig | Mapping[str, Any] | str | Path,
    plan: RolloutPlan | Mapping[str, Any] | str | Path,
    *,
    journal: Journal | Mapping[str, Any] | None,
    force: bool,
    poll_interval_s: float,
    cloud: str | None,
    project: str | None,
    until: int | None = None,
) -> Op[Rollout]:
    """A rollout that is ready to look; what cannot work, or is not to be tried again, ends here."""
    steps = RolloutPlan.parse(plan)
    if not poll_interval_s > 0:
        raise ConfigError(f"poll_interval_s: {poll_interval_s} is not a time in seconds above 0.")
    wanted = ServiceConfig.parse(config)
    if isinstance(plan, str | Path):  # a plan that is edited in mid-rollout must not make another build
        wanted = wanted.without_file(plan)
    prepared = yield from deploying.prepare(wanted, cloud=cloud, project=project)
    if not prepared.name:
        raise ConfigError("name: missing; a service needs one.")
    now = yield from Now()
    memory = resume(journal, prepared, force=force, at=now).replace(until=until)
    run = Rollout(prepared.options(version_name=memory.version_name), steps, memory, poll_interval_s)
    if memory.known_bad:
        yield from run.end(Outcome.ROLLED_BACK, _known_bad(memory), at=now)
    return run


def _known_bad(journal: Journal) -> str:
    return f"this build was taken back before, and is not tried again: {journal.reason}"


@dataclass
class Rollout:
    """One rollout under way: its memory, and what it said last."""

    config: ServiceConfig
    plan: RolloutPlan
    journal: Journal
    poll_interval_s: float
    service_id: str | None = None
    body: ApplyService | None = None
    weight: int | None = None
    said: str = ""
    saved: Any = None
    saved_at: float = 0.0
    silent_since: float | None = None
    conflicts: int = 0
    introduced: bool = False
    gate_told: str | None = None
    seen: Observation = field(default_factory=lambda: Observation(at=0.0))
    verdict: tuple[Any, Verdict] | None = None  # the last, and what it was made of

    def loop(self) -> Op[RolloutReport]:
        while True:
            report = yield from self.step()
            if report is not None:
                return report
            yield from Sleep(self.pause_s)

    def step(self) -> Op[RolloutReport | None]:
        """One look, and what it calls for; the report once it is over."""
        seen = yield from self.look()
        return None if seen is None else (yield from self.turn(seen))

    @property
    def pause_s(self) -> float:
        return min([self.poll_interval_s, *(metric.every_s for metric in self.plan.judges)])

    @property
    def name(self) -> str:
        return str(self.config.name)

    @property
    def key(self) -> str:
        """What it saves and is ordered by."""
        return f"rollout/{self.name}"

    # ── look ──

    def look(self) -> Op[Observation | None]:
        """What the server shows; ``None`` when it gives no answer for now."""
        try:
            status = yield from services.glance(
                None if self.service_id else self.name,
                id=self.service_id,
                cloud=self.config.cloud,
                project=self.config.project,
                attempts=1,
            )
        except NotFoundError:
            status = None
        except (TransportError, UnavailableError) as error:
            yield from self.no_answer(error)
            return None
        self.silent_since = None
        now = yield from Now()
        self.service_id = status.id if status else self.service_id
        return observe(status, self.journal.version_name, now)

    def no_answer(self, error: AnyserviceError) -> Op[None]:
        """Bear with a silent server as long as with a slow one."""
        now = yield from Now()
        self.silent_since = self.silent_since if self.silent_since is not None else now
        if now - self.silent_since >= self.plan.progress_deadline:
            raise error
        yield from self.tell(Kind.TROUBLE, f"no answer, looking again: {error.message}", once=True)

    def heed(self) -> Op[None]:
        """Take in what people have ordered."""
        given = yield from Orders(self.key)
        orders = [order for one in given if (order := Order.read(one)) is not None]
        for order in sorted(orders, key=lambda order: order.at):
            heeded = self.journal.heed(order, gate_asked(self.plan, self.journal))
            if heeded is not self.journal:
                self.journal = heeded
                said = heeded.orders[-1].model_dump(mode="json")
                yield from self.tell(Kind.ORDERED, str(order), order=said)

    def turn(self, seen: Observation) -> Op[RolloutReport | None]:
        """One look's worth of work; the report once it is over."""
        before = self.journal
        self.seen, self.weight = seen, seen.ours.weight if seen.ours else None
        gap = max(MAX_GAP_S, 3 * self.poll_interval_s)
        looked = before.look(self.plan, seen, gap)
        self.journal = looked.note(oddity(self.plan, seen, looked))
        if not self.introduced:
            self.introduced = True
            yield from self.tell_all(opening(self.plan, self.journal, seen, known=before.started))
        yield from self.tell_all(arrival(self.plan, before, self.journal))
        yield from self.heed()
        self.journal, asked = yield from measure(self.plan, self.journal, seen)
        verdict = self.judged()
        yield from self.tell_all(measurements(verdict, asked))
        report = yield from self.act(decide(self.plan, seen, self.journal, verdict), verdict)
        yield from self.save(seen.at)
        return report

    def judged(self) -> Verdict:
        """What the measurements say; most looks find none that is new, and weighing them is most of a look's work."""
        ground = (self.journal.weight, self.journal.tallies, self.journal.history)
        if self.verdict is None or self.verdict[0] != ground:
            self.verdict = (ground, judge(self.plan, self.journal))
        return self.verdict[1]

    # ── act ──

    def act(self, action: Action, verdict: Verdict) -> Op[RolloutReport | None]:
        if not isinstance(action, Wait):  # no gate holds it any longer
            self.journal = self.journal.at_gate(None, self.seen.at)
        match action:
            case Wait():
                yield from self.stand(action)
            case Pause(kind, reason):
                return (yield from self.close(Outcome.PAUSED, reason, verdict, pause=kind.value))
            case Finish(outcome, reason):
                return (yield from self.close(outcome, reason, verdict))
            case Rollback(reason):
                yield from self.remember_rollback(reason, verdict)
                yield from self.write(action, verdict)
            case Deploy() | Shift() | Promote():
                yield from self.write(action, verdict)
        return None

    def stand(self, action: Wait) -> Op[None]:
        """Wait; for a gate, which is told once however long it holds, and again by a process that goes on."""
        known = self.journal.gate is not None and self.journal.gate == self.gate_told
        told = action.quiet or (known and action.gate == self.gate_told)
        self.journal = self.journal.at_gate(action.gate, self.seen.at)
        self.gate_told = action.gate
        if not told:
            data: dict[str, Any] = {"gate": action.gate, "until": action.until} if action.gate else {}
            yield from self.tell(Kind.WAITING, action.reason, once=True, **data)

    def write(self, action: Deploy | Shift | Promote | Rollback, verdict: Verdict) -> Op[None]:
        """Do it once. What fails for a reason that may pass is left to the next look."""
        try:
            done = yield from self.send(action)
        except AuthError:
            raise
        except (TransportError, UnavailableError) as error:
            yield from self.tell(Kind.TROUBLE, f"no answer, looking again: {error.message}")
            return
        except RejectedError as error:
            yield from self.refused(action, error)
            return
        if not done:
            yield from self.tell(
                Kind.TROUBLE, "the service changed in the meantime, looking again", once=True
            )
            return
        self.conflicts = 0
        self.note_done(action, verdict)

    def send(self, action: Deploy | Shift | Promote | Rollback) -> Op[bool]:
        canary = self.seen.canary.id if self.seen.canary else ""
        match action:
            case Deploy(weight):
                return (yield from self.deploy(weight, whole=action.whole))
            case Shift(weight):
                yield from self.tell(Kind.SHIFTING, f"asking for {weight} %", to=weight)
                return (yield from move(self.seen.service_id, canary, weight))
            case Promote():
                yield from self.tell(Kind.PROMOTING, "promoting it to all traffic", to=100)
                return (yield from move(self.seen.service_id, canary, 100))
            case Rollback(reason):
                yield from self.tell(Kind.ROLLING_BACK, f"rolling back: {reason}", once=True)
                return (yield from take_back(self.seen.service_id, canary, self.plan.max_surge_percent))

    def deploy(self, weight: int, *, whole: bool) -> Op[bool]:
        how = (
            "there is no version beside it, so the steps are skipped" if whole else f"a canary at {weight} %"
        )
        yield from self.tell(
            Kind.DEPLOYING, f"deploying {self.journal.version_name}: {how}", to=weight, whole=whole
        )
        if self.body is None:
            self.body = yield from compose(self.config, self.seen.service_id)
        yield from self.save(self.seen.at)  # whoever finds this process dead must know whose canary there is
        made = yield from begin(self.body, self.seen, weight, self.plan.max_surge_percent)
        self.service_id = made.id if made else self.service_id
        return made is not None

    def refused(self, action: Action, error: RejectedError) -> Op[None]:
        """Someone else was faster, most likely: look again, but not for ever."""
        if isinstance(action, Deploy) and not isinstance(error, ConflictError):
            raise error
        self.conflicts += 1
        if self.conflicts > _CONFLICTS:
            raise error
        yield from self.tell(Kind.TROUBLE, f"refused, looking again: {error.message}")

    def note_done(self, action: Action, verdict: Verdict) -> None:
        match action:
            case Deploy(weight, whole):
                self.journal = self.journal.deployed(None if whole else self.seen.primary, weight)
            case Shift(weight):
                self.journal = self.journal.close_step(verdict).asked(weight)
            case Promote():
                self.journal = self.journal.close_step(verdict).asked(100)

    def remember_rollback(self, reason: str, verdict: Verdict) -> Op[None]:
        """Keep the intent before the deed, so that a crash in between does not change its mind."""
        if self.journal.intent != "rollback":
            self.journal = self.journal.close_step(verdict).turned_back(reason, verdict)
            yield from self.save(self.seen.at)

    # ── the end ──

    def close(
        self, outcome: Outcome, reason: str, verdict: Verdict, pause: str | None = None
    ) -> Op[RolloutReport]:
        held = self.journal.settled or outcome is Outcome.PAUSED
        self.journal = self.journal.close_step(verdict) if held else self.journal
        return (yield from self.end(outcome, reason, at=self.seen.at, pause=pause))

    def end(self, outcome: Outcome, reason: str, *, at: float, pause: str | None = None) -> Op[RolloutReport]:
        """Write it down, tell it, and give or raise it."""
        known, bad = self.journal.known_bad, outcome is Outcome.ROLLED_BACK and self.journal.condemned
        self.journal = self.journal.replace(
            outcome=outcome, reason=self.journal.reason if known else reason, known_bad=known or bad
        )
        report = report_of(
            self.journal,
            outcome,
            reason,
            service=self.name,
            service_id=self.service_id or "",
            at=at,
            pause=pause,
        )
        yield from self.save(at)
        said = f"{outcome.replace('_', ' ')}: {reason}"
        yield from self.tell(Kind.FINISHED, said, at=at, outcome=outcome.value, report=report.to_dict())
        raise_if_lost(report, condemned=self.journal.known_bad)
        return report

    # ── tell and keep ──

    def tell_all(self, lines: Iterable[Line]) -> Op[None]:
        for kind, message, data in lines:
            yield from self.tell(kind, message, **data)

    def tell(
        self, kind: Kind, message: str, *, once: bool = False, at: float | None = None, **data: Any
    ) -> Op[None]:
        """Report an event; ``once`` leaves it out when it was the last thing said."""
        if once and message == self.said:
            return
        self.said = message
        when = at if at is not None else (yield from Now())
        yield from Report(Event(kind, self.name, self.journal.version_name, self.weight, message, when, data))

    def save(self, at: float) -> Op[None]:
        """Keep the journal when something has happened, and now and then for the clocks' sake."""
        mark = self.journal.mark
        if mark == self.saved and 0 <= at - self.saved_at < SAVE_EVERY_S:
            return
        self.saved, self.saved_at = mark, at
        yield from Save(self.key, self.journal)
