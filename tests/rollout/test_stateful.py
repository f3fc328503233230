"""A rollout among strangers, crashes and lost answers, on a plane whose time we move."""

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from anyservice_core.effects import Effect, Now, Op, Orders, Report, Request, Save
from anyservice_core.errors import (
    AnyserviceError,
    ApiError,
    RolledBackError,
    RolloutError,
    RolloutPausedError,
    SupersededError,
    TransportError,
)
from anyservice_core.models import ServiceConfig
from anyservice_core.models.enums import ServiceState
from anyservice_core.operations.rollout import rollout
from anyservice_core.rollout import Journal, RolloutReport
from anyservice_core.rollout.identity import rollout_key, version_name
from anyservice_core.rollout.orders import Order, OrderKind
from anyservice_core.testing import FakePlane

BAKE_S = 20.0
PLAN = {
    "steps": [5, 25, 50],
    "bake": BAKE_S,
    "progress_deadline": "5m",
    "metrics": [{"name": "errors", "provider": "router", "interval": "5s", "compare": {"max_rate": 0.05}}],
}


GATED = {
    **PLAN,
    "steps": [5, {"weight": 25, "approval": {"timeout": "2m", "on_timeout": "promote"}}, 50],
    "promotion": True,
}


def config(n: int) -> ServiceConfig:
    return ServiceConfig(name="rec", applications=[{"import_path": f"main:v{n}"}])


WAVES = {OrderKind.PROMOTE, OrderKind.PROMOTE_FULL}
NEW = config(2)
OURS = version_name(NEW, rollout_key(NEW))


class Rollouts(RuleBasedStateMachine):
    """One rollout, driven effect by effect; between any two effects the world may change."""

    def __init__(self) -> None:
        super().__init__()
        self.plane = FakePlane()
        self.client = self.plane.client()
        self.op: Op[RolloutReport] | None = None
        self.effect: Effect | None = None
        self.journal: Journal | None = None
        self.primary = ""
        self.held: tuple[str, int, float] = ("", -1, 0.0)
        self.told_terminated = False
        self.strangers = 10
        self.ends: list[RolloutReport | RolloutError] = []
        self.plan = PLAN
        self.orders: list[Order] = []
        self.heeded: list[Order] = []
        self.began: float | None = None
        self.client.on_orders = lambda _: self.orders

    def teardown(self) -> None:
        self.plane.close()

    # ── the rollout ──

    @initialize(first=st.booleans(), gated=st.booleans())
    def begin(self, first: bool, gated: bool) -> None:
        self.plan = GATED if gated else PLAN
        if not first:
            self.client.deploy(config(1))
            self.client.wait("rec")
        self.plane.send_traffic(100)
        self.start()

    def start(self) -> None:
        self.op = rollout(NEW, self.plan, journal=self.journal)
        self.advance(next)

    def advance(self, go: Any) -> None:
        assert self.op is not None
        try:
            self.effect = go(self.op)
        except StopIteration as stop:
            self.end(stop.value)
        except RolloutError as error:
            self.end(error)

    def end(self, how: RolloutReport | RolloutError) -> None:
        self.ends.append(how)
        self.op = self.effect = None
        self.check_end(how)

    @rule(effects=st.integers(1, 60))
    @precondition(lambda self: self.op is not None)
    def go_on(self, effects: int) -> None:
        for _ in range(effects):
            if self.op is None:
                return
            self.perform()

    def perform(self, *, lose: bool = False) -> None:
        """Do the present effect; with ``lose`` its answer does not come back."""
        effect = self.effect
        assert effect is not None
        if isinstance(effect, Save):
            self.journal = effect.value  # type: ignore[assignment]
        if isinstance(effect, Now) and self.began is None:
            self.began = self.plane.now
        if isinstance(effect, Orders):  # what is older was about another run
            self.heeded = [order for order in self.orders if order.at >= (self.began or 0.0)]
        if isinstance(effect, Request):
            self.check_write(effect)
        if isinstance(effect, Report):
            assert "\n" not in str(effect.event)
            json.dumps(effect.event.to_dict()) if hasattr(effect.event, "to_dict") else None
        try:
            answer = self.client._perform(effect)
        except AnyserviceError as raised:
            error = raised
            self.advance(lambda op: op.throw(error))
            return
        if isinstance(effect, Request) and effect.path.startswith("/api/v2/services-v2/"):
            self.watch()
        if lose:
            self.advance(lambda op: op.throw(TransportError("the answer was lost")))
        else:
            self.advance(lambda op: op.send(answer))

    @rule(lost=st.booleans(), done=st.booleans())
    @precondition(lambda self: self.op is not None)
    def crash(self, lost: bool, done: bool) -> None:
        """The process dies before or after its effect; the next one has the journal, or has not."""
        if done and self.effect is not None:
            self.perform()
        if self.op is not None:
            self.op.close()
            self.restart(lost)

    @rule(lost=st.booleans())
    @precondition(lambda self: self.op is None)
    def run_again(self, lost: bool) -> None:
        """A person, or a scheduler, runs the same rollout again, after reading how the last one ended."""
        self.told_terminated = False
        self.restart(lost)

    def restart(self, lost: bool) -> None:
        if lost:  # without a journal, terminated and never started look the same
            self.journal, self.told_terminated = None, False
        if lost or self.op is None:  # what was ordered of the run before is over
            self.orders, self.heeded, self.began = [], [], None
        self.start()

    @rule()
    @precondition(lambda self: isinstance(self.effect, Request))
    def lose_answer(self) -> None:
        self.perform(lose=True)

    @rule(minutes=st.sampled_from([0.1, 1, 10]))
    def nobody_watches(self, minutes: float) -> None:
        self.plane.advance(minutes * 60)

    @rule(kind=st.sampled_from(OrderKind))
    def a_person_orders(self, kind: OrderKind) -> None:
        self.orders = [*self.orders, Order(kind=kind, at=self.plane.now, by="ann")]

    # ── the world ──

    @rule(percent=st.sampled_from([None, 0, 5, 30, 100]))
    @precondition(lambda self: not self.about_to_write)
    def a_stranger_deploys(self, percent: int | None) -> None:
        self.strangers += 1
        self.attempt("deploy", config(self.strangers), canary_percent=percent)

    @rule()
    @precondition(lambda self: not self.about_to_write)
    def a_stranger_rolls_back(self) -> None:
        self.attempt("rollback", "rec")

    @rule(percent=st.sampled_from([0, 5, 7, 25, 50, 60, 100]))
    @precondition(lambda self: not self.about_to_write)
    def a_stranger_moves_the_weight(self, percent: int) -> None:
        self.attempt("shift", "rec", canary_percent=percent)

    @rule()
    @precondition(lambda self: not self.about_to_write)
    def a_stranger_terminates(self) -> None:
        journal = self.journal if self.op is not None else None
        under_way = journal is not None and journal.started and journal.outcome is None
        if self.attempt("terminate", "rec") and under_way:
            self.told_terminated = True

    @rule(what=st.sampled_from(["break_version", "sicken", "heal", "kill"]), ours=st.booleans())
    def a_version_changes(self, what: str, ours: bool) -> None:
        service = self.service
        versions = [v for v in (service.primary, service.canary) if v] if service else []
        for version in versions:
            if (version.name == OURS) is ours:
                getattr(self.plane, what)(version.name)
                return

    @rule(ours=st.sampled_from([0.0, 0.01, 0.3]), primary=st.sampled_from([0.0, 0.01, 0.3]))
    def errors_change(self, ours: float, primary: float) -> None:
        service = self.service
        rates = {v.name: primary for v in service.versions} if service else {}
        self.plane.send_traffic(100, errors={**rates, OURS: ours})

    def attempt(self, what: str, *args: Any, **kwargs: Any) -> bool:
        try:
            getattr(self.client, what)(*args, **kwargs)
        except (ApiError, RolloutError):
            return False
        return True

    # ── what must hold ──

    @property
    def service(self) -> Any:
        return next((s for s in self.plane.store.services() if s.name == "rec"), None)

    @property
    def about_to_write(self) -> bool:
        """The API has no compare-and-set, so nothing can come between the last look and the write."""
        return isinstance(self.effect, Request) and self.effect.method != "GET"

    @property
    def paused(self) -> bool:
        """Whether the last word that the rollout has heard of is to pause."""
        words = [
            order.kind for order in self.heeded if order.kind in {*WAVES, OrderKind.PAUSE, OrderKind.RESUME}
        ]
        return bool(words) and words[-1] is OrderKind.PAUSE

    def watch(self) -> None:
        """Remember since when the canary stands at its weight, for those who look now and then."""
        service = self.service
        canary = service.canary if service else None
        self.primary = service.primary.name if service else ""
        now = (canary.name, canary.weight) if canary else ("", -1)
        if now != self.held[:2]:
            self.held = (*now, self.plane.now)

    def check_write(self, request: Request) -> None:
        """Every write of the rollout is about its own version, upwards, and in its time."""
        if request.method == "GET":
            return
        assert not request.idempotent, request
        assert not request.path.endswith("/terminate")
        assert request.method != "DELETE"
        service = self.service
        if request.path.endswith("/rollback"):
            assert service.canary.name == OURS
            return
        assert request.path.endswith("/apply")
        assert request.json["version"] == OURS
        self.check_apply(service, request.json)

    def check_apply(self, service: Any, body: dict[str, Any]) -> None:
        percent = body.get("canary_percent")
        if service is None or service.state is ServiceState.TERMINATED:
            assert not self.told_terminated
            return
        assert percent is not None
        assert service.state is not ServiceState.ROLLING_BACK
        assert not self.paused
        if service.canary is None:
            assert percent == 5
            assert service.primary.name != OURS
            return
        assert service.canary.name == OURS
        assert percent >= service.canary.weight
        if percent > 5 and not any(order.kind in WAVES for order in self.heeded):
            name, weight, since = self.held
            assert (name, weight) == (OURS, service.canary.weight)
            assert self.plane.now - since >= BAKE_S - 0.5
            assert percent == {5: 25, 25: 50, 50: 100}[weight]
            approved = any(order.kind is OrderKind.APPROVE for order in self.heeded)
            assert percent < 100 or approved or self.plan is PLAN

    def check_end(self, how: RolloutReport | RolloutError) -> None:
        report = how.report if isinstance(how, RolloutError) else how.to_dict()
        assert report["reason"]
        match how:
            case RolloutReport():
                assert self.primary == OURS
            case RolledBackError():
                assert self.primary != OURS or report["reason"].startswith("this build was")
            case RolloutPausedError() | SupersededError() | RolloutError():
                pass
        json.dumps(report)

    @invariant()
    def the_journal_can_be_written_down(self) -> None:
        if self.journal is not None:
            assert Journal.model_validate_json(self.journal.model_dump_json()) == self.journal


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
