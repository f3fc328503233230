"""Twenty ways in which a rollout is disturbed, each with its end."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from anyservice_core.errors import (
    AnyserviceError,
    PlanError,
    RolledBackError,
    RolloutError,
    RolloutPausedError,
    SupersededError,
)
from anyservice_core.models import ServiceConfig
from anyservice_core.models.enums import ServiceState
from anyservice_core.rollout import Journal, Outcome, RolloutPlan
from anyservice_core.rollout.decide import decide
from anyservice_core.rollout.observe import Observation
from anyservice_core.rollout.orders import Order
from anyservice_core.rollout.report import Verdict

APPLY = "PUT /api/v2/services-v2/apply"


class Meanwhile:
    """Does things while a rollout runs: once, as soon as something is told."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.waiting: list[tuple[Callable[[Any], bool], Callable[[], Any]]] = []
        self.other = stage.plane.client()  # a stranger's
        stage.client.on_report = self.hear

    def hear(self, event: Any) -> None:
        self.stage.hear(event)
        for entry in [entry for entry in self.waiting if entry[0](event)]:
            self.waiting.remove(entry)
            entry[1]()

    def when(self, kind: str, does: Callable[[], Any], weight: int | None = None) -> None:
        def matches(event: Any) -> bool:
            return getattr(event, "kind", None) == kind and weight in {None, event.weight}

        self.waiting.append((matches, does))


@pytest.fixture
def meanwhile(stage: Any) -> Meanwhile:
    stage.first()
    return Meanwhile(stage)


def deploys(stage: Any) -> int:
    return int(stage.writes.count(APPLY))


def test_01_a_first_deploy_and_a_restart_come_up_whole(stage: Any) -> None:
    """There is nothing beside it to share the traffic with; the report says that the steps were skipped."""
    assert stage.run(1).steps_skipped
    stage.client.terminate("rec")
    stage.client.wait("rec", state="TERMINATED")
    report = stage.run(2)
    assert report.steps_skipped
    assert report.outcome is Outcome.SUCCEEDED


def test_02_the_same_config_again_writes_nothing(stage: Any) -> None:
    """A nightly run of an unchanged build."""
    stage.first()
    assert stage.run(1).outcome is Outcome.NO_CHANGE
    assert stage.writes == []


def test_03a_a_deploy_before_our_first_write_is_waited_for(stage: Any, meanwhile: Meanwhile) -> None:
    """A stranger's canary is neither adopted nor rolled back."""
    meanwhile.other.deploy(stage.config(9), canary_percent=30)
    report = stage.fails(RolloutPausedError, plan={"progress_deadline": "2m"})
    assert report["pause"] == "occupied"
    assert stage.canary.weight == 30


def test_03b_a_deploy_between_our_look_and_our_write_wins(stage: Any, meanwhile: Meanwhile) -> None:
    """The last look before the write sees it, and nothing is sent."""
    meanwhile.when("deploying", lambda: meanwhile.other.deploy(stage.config(9), canary_percent=30))
    report = stage.fails(RolloutPausedError, plan={"progress_deadline": "2m"})
    assert report["pause"] == "occupied"
    assert deploys(stage) == 1  # the stranger's


def test_03c_a_deploy_while_we_wait_for_an_approval_supersedes_us(stage: Any, meanwhile: Meanwhile) -> None:
    """Hands off: it is theirs now."""
    steps = [{"weight": 10, "bake": 20, "approval": True}]
    meanwhile.when("waiting", lambda: meanwhile.other.deploy(stage.config(9), canary_percent=30))
    stage.fails(SupersededError, plan={"steps": steps})
    assert stage.canary.name not in {stage.version(), stage.version(1)}


def test_03d_the_same_config_deployed_under_our_name_is_ours(stage: Any, meanwhile: Meanwhile) -> None:
    """Who deployed it does not matter: it is adopted at its weight."""
    meanwhile.other.deploy(stage.config(2, version_name=stage.version()), canary_percent=10)
    stage.plane.requests.clear()
    report = stage.run()
    assert report.outcome is Outcome.SUCCEEDED
    assert deploys(stage) == 2  # 50 and 100


@pytest.mark.parametrize(
    ("kind", "weight"), [("baking", 10), ("measured", 10), ("shifting", 10), ("baking", 50)]
)
def test_04_a_rollback_by_someone_else_is_an_end_and_is_not_fought(
    stage: Any, meanwhile: Meanwhile, kind: str, weight: int
) -> None:
    """At each phase, also while our own shift is on its way."""
    meanwhile.when(kind, lambda: meanwhile.other.rollback("rec"), weight)
    report = stage.fails(RolledBackError)
    assert "by the platform or by someone else" in report["reason"]
    assert stage.canary is None


def test_05_a_promotion_that_overtakes_our_rollback_is_called_too_late(
    stage: Any, meanwhile: Meanwhile
) -> None:
    """It names the version to go back to, and does not pretend."""
    stage.plane.send_traffic(100, errors={stage.version(): 0.5})

    def promoted() -> None:
        meanwhile.other.shift("rec", canary_percent=100)
        meanwhile.other.wait("rec", timeout_s=120)

    meanwhile.when("rolling_back", promoted)
    report = stage.fails(RolloutError)
    assert "too late" in report["reason"]
    assert f"roll out {stage.version(1)} again" in report["reason"]


def test_06_a_canary_that_is_unhealthy_for_a_moment_stays(stage: Any, meanwhile: Meanwhile) -> None:
    """It counts against its limit in a row; one blip is none."""
    meanwhile.when("baking", lambda: stage.plane.sicken(stage.version()), 10)
    stage.client.on_report, hear = meanwhile.hear, stage.client.on_report
    assert hear is not None
    looks = iter(range(10**6))

    def heal(key: str) -> list[Order]:
        if any(event.kind.value == "baking" for event in stage.events) and next(looks) == 2:
            stage.plane.heal(stage.version())
        return []

    stage.client.on_orders = heal
    assert stage.run().outcome is Outcome.SUCCEEDED


def test_07_a_weight_that_is_never_reached_is_taken_back_at_the_deadline_gates_not_counted(
    stage: Any,
) -> None:
    """An hour of closed window is no delay; five minutes without a GPU are."""
    stage.first()
    stage.plane.engine.start_s = 10**6
    hour = int((stage.plane.now + 900) // 3600 % 24)
    minute = int((stage.plane.now + 900) // 60 % 60)
    window = {"kind": "allow", "schedule": f"{minute} {hour} * * *", "duration": "4h", "actions": ["start"]}
    report = stage.fails(RolledBackError, plan={"progress_deadline": "5m", "windows": [window]})
    assert "no further after 5m" in report["reason"]
    assert report["ended_at"] - report["started_at"] > 900


def test_08_a_person_who_sets_100_by_hand_has_promoted_it(stage: Any, meanwhile: Meanwhile) -> None:
    """Reported as what it was."""
    meanwhile.when("baking", lambda: meanwhile.other.shift("rec", canary_percent=100), 10)
    report = stage.run()
    assert report.outcome is Outcome.SUCCEEDED
    assert "by someone else" in report.reason


@pytest.mark.parametrize("weight", [0, 5, 30])
def test_09_a_weight_moved_by_hand_pauses_and_stays(stage: Any, meanwhile: Meanwhile, weight: int) -> None:
    """Down as a brake, or up to what is no step: neither is pushed back, nor jumped from."""
    meanwhile.when("measured", lambda: meanwhile.other.shift("rec", canary_percent=weight), 10)
    report = stage.fails(RolloutPausedError)
    assert report["pause"] == "drift"
    assert stage.canary.weight == weight


@pytest.mark.parametrize("what", ["terminate", "archive", "delete"])
def test_10_a_service_that_is_taken_down_is_not_raised_again(
    stage: Any, meanwhile: Meanwhile, what: str
) -> None:
    """Terminated, hidden or gone: someone wanted that."""

    def down() -> None:
        meanwhile.other.terminate("rec")
        if what != "terminate":
            meanwhile.other.wait("rec", state="TERMINATED")
            getattr(meanwhile.other, what)("rec")
        stage.plane.requests.clear()

    meanwhile.when("baking", down, 10)
    report = stage.fails(RolloutError)
    assert "terminated by someone else" in report["reason"]
    assert deploys(stage) == 0


def test_11_an_update_in_place_has_no_part_in_a_rollout(stage: Any) -> None:
    """There is no partial traffic, and no way back: it is refused before anything is done."""
    with pytest.raises(PlanError, match="in_place"):
        stage.run(plan={"in_place": True})
    assert stage.plane.requests == []


def test_12a_two_workers_deploy_once(stage: Any) -> None:
    """Both see it through to the end, and nobody is sent backwards."""
    stage.first()
    ends: list[Any] = []

    def work(client: Any) -> None:
        try:
            ends.append(client.rollout(stage.config(), stage.plan()).outcome)
        except AnyserviceError as error:
            ends.append(error)

    workers = [threading.Thread(target=work, args=(stage.plane.client(),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert Outcome.SUCCEEDED in ends
    assert stage.primary == stage.version()
    assert len(stage.plane.service("rec").versions) == 1
    assert len(stage.plane.engine.specs) == 2  # the version before, and ours


def test_12b_a_plan_that_was_edited_goes_on_from_the_present_weight(stage: Any, meanwhile: Meanwhile) -> None:
    """Identity is the config: new steps are mapped onto the weight, never downwards."""
    meanwhile.when("baking", lambda: (_ for _ in ()).throw(KeyboardInterrupt), 50)
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    stage.client.on_report = stage.hear
    stage.plane.requests.clear()
    report = stage.run(plan={"steps": [20, 40, 80]}, journal=stage.journal)
    assert report.outcome is Outcome.SUCCEEDED
    assert [step.weight for step in report.steps] == [10, 50, 80]


def test_12c_a_window_that_closes_in_mid_step_holds_the_weight(stage: Any) -> None:
    """The bake ends outside of it, so the next weight waits for tomorrow's."""
    stage.first()
    now = stage.plane.now
    window = {
        "kind": "allow",
        "schedule": f"{int(now // 60 % 60)} {int(now // 3600 % 24)} * * *",
        "duration": "3m",
        "actions": ["advance"],
    }
    stage.client.on_orders = lambda _: (
        [Order(kind="abort", at=stage.plane.now)] if stage.plane.now > now + 480 else []
    )
    report = stage.fails(RolledBackError, plan={"bake": "5m", "windows": [window]})
    assert [step["weight"] for step in report["steps"]] == [10]


def test_13_a_service_of_many_versions_is_refused(stage: Any) -> None:
    """It has no one canary; that is said, and nothing is sent."""
    journal = Journal(rollout_key="k", version_name="n")
    seen = Observation(0.0, ServiceState.RUNNING, multi_version=True)
    action = decide(RolloutPlan.parse({"steps": [5]}), seen, journal, Verdict())
    assert action.outcome is Outcome.FAILED  # type: ignore[union-attr]
    assert "multi-version" in action.reason  # type: ignore[union-attr]


def test_14a_a_canary_or_a_primary_without_requests_decides_nothing(stage: Any) -> None:
    """Nothing advances on missing data, and nothing goes back on it."""
    stage.first()
    stage.plane.send_traffic(0)
    assert stage.fails(RolloutPausedError)["pause"] == "inconclusive"
    assert stage.canary.weight == 10


def test_14b_counters_that_begin_anew_lose_a_window_and_no_more(stage: Any, meanwhile: Meanwhile) -> None:
    """A router that was started again counts from nothing; that is no negative traffic."""
    meanwhile.when("baking", stage.plane.router.counts.clear, 50)
    assert stage.run().outcome is Outcome.SUCCEEDED


def test_15_no_answer_is_not_the_same_as_not_found(stage: Any, meanwhile: Meanwhile) -> None:
    """Answers that fail to come are borne with; a service that is not there any more is an end."""
    meanwhile.when("baking", lambda: [stage.plane.lose_request("GET") for _ in range(5)], 10)
    assert stage.run().outcome is Outcome.SUCCEEDED


def test_16_a_build_that_was_condemned_is_not_tried_again_by_the_schedule(stage: Any) -> None:
    """Tomorrow's run says so and writes nothing; force tries it under another name."""
    stage.first()
    stage.plane.send_traffic(100, errors={stage.version(): 0.5})
    stage.fails(RolledBackError)
    stage.plane.requests.clear()
    report = stage.fails(RolledBackError, journal=stage.journal)
    assert "is not tried again: errors" in report["reason"]
    assert stage.writes == []
    stage.plane.send_traffic(100)
    assert stage.run(journal=stage.journal, force=True).attempt == 1


def test_17_a_run_that_is_interrupted_leaves_the_service_as_it_is(stage: Any, meanwhile: Meanwhile) -> None:
    """Killing a task is no order to roll back, and never one to terminate."""

    def interrupt() -> None:
        stage.plane.requests.clear()
        raise KeyboardInterrupt

    meanwhile.when("measured", interrupt, 10)
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    assert stage.writes == []
    assert stage.canary.weight == 10


def test_18_hours_that_nobody_watched_are_no_bake(stage: Any, meanwhile: Meanwhile) -> None:
    """The worker comes back, and the step goes on from what it has measured."""
    meanwhile.when("measured", lambda: stage.plane.advance(5_400), 10)
    report = stage.run(plan={"bake": "3m"})
    assert report.outcome is Outcome.SUCCEEDED
    assert report.steps[0].baked_s < 250


def test_19_of_two_services_none_is_promoted_before_both_may_be(stage: Any) -> None:
    """Each waits at its promotion gate; one that fails is reason to abort the other, which still can go back."""
    stage.first()
    other = ServiceConfig(name="ranker", applications=[{"import_path": "main:r1"}])
    stage.client.deploy(other)
    stage.client.wait("ranker")
    stage.plane.send_traffic(100)
    box: list[Order] = []
    first = stage.plane.client(on_orders=lambda _: box)
    ends: dict[str, Any] = {}

    def recommender() -> None:
        try:
            ends["rec"] = first.rollout(stage.config(), stage.plan(promotion=True))
        except RolloutError as error:
            ends["rec"] = error

    worker = threading.Thread(target=recommender)
    worker.start()
    stage.plane.send_traffic(100, errors={"*": 0.0})
    try:
        stage.plane.client().rollout(
            other.options(applications=[{"import_path": "main:r2"}], working_dir=None),
            {"steps": [{"weight": 10, "bake": 20, "approval": {"timeout": "2m"}}]},
        )
    except RolledBackError:
        box.append(Order(kind="abort", at=stage.plane.now + 10**6, reason="ranker went back"))
    worker.join(60)
    assert isinstance(ends["rec"], RolledBackError)
    assert "ranker went back" in ends["rec"].report["reason"]
    assert stage.primary == stage.version(1)


def test_20_without_steps_it_is_promoted_at_once_and_still_gated(stage: Any) -> None:
    """A closed window holds it, a person's word lets it go."""
    stage.first()
    freeze = {"kind": "deny", "schedule": "* * * * *", "duration": "1d", "reason": "freeze"}
    began = stage.plane.now
    stage.client.on_orders = lambda _: (
        [Order(id="1", kind="promote", at=began + 600)] if stage.plane.now > began + 600 else []
    )
    report = stage.run(plan={"steps": [], "windows": [freeze]})
    assert report.outcome is Outcome.SUCCEEDED
    assert report.ended_at - report.started_at > 600
