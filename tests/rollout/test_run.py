"""Whole rollouts through the real client, on a plane whose clock moves as they sleep."""

import json
from typing import Any

import pytest

from anyservice_core.effects import Op, Reply, Request
from anyservice_core.errors import (
    ConfigError,
    PlanError,
    RejectedError,
    RolledBackError,
    RolloutError,
    RolloutPausedError,
    SupersededError,
    TransportError,
)
from anyservice_core.models import ServiceConfig
from anyservice_core.operations.rollout import rollout
from anyservice_core.rollout import Event, Journal, Outcome


def test_a_good_version_climbs_the_steps_and_is_promoted(stage: Any) -> None:
    """Every weight is seen, baked and judged; the report has the numbers."""
    stage.first()
    report = stage.run()
    assert report.outcome is Outcome.SUCCEEDED
    assert stage.primary == stage.version()
    assert [(step.weight, step.phase.value) for step in report.steps] == [
        (10, "successful"),
        (50, "successful"),
    ]
    assert all(20 <= step.baked_s <= 24 for step in report.steps)
    assert report.requests > 500
    assert stage.kinds.count("baking") == 2
    assert stage.kinds[0] == "started"
    assert stage.kinds[-1] == "finished"
    assert "weight 10 % seen, baking 20s" in [event.message for event in stage.events]


def test_a_rollout_writes_four_times_and_no_more(stage: Any) -> None:
    """Deploy, shift, promote: one request each, however long it takes."""
    stage.first()
    stage.run()
    assert stage.writes == ["PUT /api/v2/services-v2/apply"] * 3


def test_whose_canary_it_is_is_known_before_there_is_one(stage: Any) -> None:
    """Whoever is killed right after the deploy leaves a name to take it back by."""
    stage.first()
    kept: list[Any] = []
    stage.client.on_save = lambda key, journal: kept.append((len(stage.writes), journal))
    stage.run()
    written, journal = kept[0]
    assert written == 0
    assert journal.version_name == stage.version()


@pytest.mark.anyio
async def test_the_async_client_holds_the_same_conversation(stage: Any) -> None:
    """One source, two colours: the same events, word for word."""
    stage.first()
    stage.run()
    heard: list[Event] = []
    other = type(stage)()
    other.first()
    async with other.plane.async_client(
        on_report=lambda e: heard.append(e) if isinstance(e, Event) else None
    ) as client:
        report = await client.rollout(stage.config(), stage.plan())
    other.plane.close()
    assert report.outcome is Outcome.SUCCEEDED
    assert [event.message for event in heard] == [event.message for event in stage.events]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_first_deploy_comes_up_whole_and_says_so(stage: Any) -> None:
    """There is nothing to be a canary of."""
    report = stage.run()
    assert report.outcome is Outcome.SUCCEEDED
    assert report.steps_skipped
    assert report.baseline_version is None
    assert any("steps are skipped" in event.message for event in stage.events)


def test_the_same_version_again_writes_nothing(stage: Any) -> None:
    """A nightly schedule of an unchanged build costs one look."""
    stage.first()
    assert stage.run(1).outcome is Outcome.NO_CHANGE
    assert stage.writes == []


def test_a_version_that_errs_is_taken_back_with_its_numbers(stage: Any) -> None:
    """Users of the other nine tenths never saw it."""
    stage.first()
    stage.plane.send_traffic(100, errors={stage.version(): 0.2})
    report = stage.fails(RolledBackError)
    assert stage.primary == stage.version(1)
    assert stage.canary is None
    (step,) = report["steps"]
    errors = next(finding for finding in step["findings"] if finding["metric"] == "errors")
    assert errors["phase"] == "failed"
    assert errors["numbers"]["evidence"] > errors["numbers"]["needed"]
    assert step["baked_s"] <= 20
    assert json.dumps(report)


def test_a_surge_paces_every_step_and_is_no_drift(stage: Any) -> None:
    """Weights on the way to a step are not those that were asked for, and nobody else moved them."""
    stage.first()
    assert stage.run(plan={"max_surge_percent": 20}).outcome is Outcome.SUCCEEDED
    service = stage.plane.service("rec")
    told = [event.message for event in stage.plane.store.events(service.id, limit=100)]
    shall = [f"{stage.version()} shall have {percent} % of its capacity" for percent in (30, 50, 70, 100)]
    assert [message for message in told if message in shall] == shall
    assert service.primary.capacity == 100


def test_a_surge_paces_the_way_back_too(stage: Any) -> None:
    """A plan that leaves no room for two versions takes a bad one back as the good one's capacity comes."""
    stage.first()
    stage.plane.send_traffic(100, errors={stage.version(): 0.2})
    stage.fails(RolledBackError, plan={"steps": [40], "max_surge_percent": 20})
    assert (stage.primary, stage.canary) == (stage.version(1), None)


def test_a_condemned_build_is_not_tried_again_unless_forced(stage: Any) -> None:
    """A nightly schedule does not hurt users with the same build every night."""
    stage.first()
    stage.plane.send_traffic(100, errors={stage.version(): 0.2})
    stage.fails(RolledBackError)
    condemned, before = stage.journal, len(stage.writes)
    report = stage.fails(RolledBackError, journal=condemned)
    assert report["reason"].count("not tried again") == 1
    assert stage.fails(RolledBackError, journal=stage.journal)["reason"] == report["reason"]
    assert len(stage.writes) == before
    stage.plane.send_traffic(100)
    forced = stage.run(journal=condemned, force=True)
    assert forced.outcome is Outcome.SUCCEEDED
    assert forced.version_name != condemned.version_name


def test_errors_on_both_sides_pause_and_keep_the_weight(stage: Any) -> None:
    """Rolling back would not help, so a person is called."""
    stage.first()
    stage.plane.send_traffic(100, errors={stage.version(): 0.3, stage.version(1): 0.3})
    report = stage.fails(RolloutPausedError)
    assert report["pause"] == "common-mode"
    assert stage.canary.weight == 10


def test_a_canary_that_nobody_calls_pauses_and_goes_on_when_run_again(stage: Any) -> None:
    """Nothing advances on missing data; what was reached is kept."""
    stage.first()
    stage.plane.send_traffic(0)
    report = stage.fails(RolloutPausedError)
    assert report["pause"] == "inconclusive"
    assert stage.canary.weight == 10
    stage.plane.send_traffic(100)
    again = stage.run(journal=stage.journal)
    assert again.outcome is Outcome.SUCCEEDED
    assert [step.weight for step in again.steps] == [10, 10, 50]
    assert "adopted" in stage.kinds


def test_a_metric_store_that_is_down_pauses(stage: Any) -> None:
    """An outage of the store neither promotes nor condemns."""
    stage.first()
    store = {"prometheus": {"address": "http://prometheus:9090", "query": "up"}}
    gauge = {"name": "gauge", "provider": store, "interval": "1s", "success": {"max": 1}}
    report = stage.fails(RolloutPausedError, plan={"metrics": [gauge], "bake": 60})
    assert report["pause"] == "error"
    assert "could not be measured" in report["reason"]
    assert stage.canary.weight == 10


def test_a_version_that_cannot_start_is_taken_back_by_the_plane(stage: Any) -> None:
    """The plane was faster; its reason is passed on."""
    stage.first()
    stage.plane.engine.start_s = 1e9
    op = rollout(stage.config(), stage.plan())
    drive(stage, op, until=lambda: stage.canary is not None)
    stage.plane.break_version(stage.version(), "ImportError: no module named 'main'")
    report = finish(stage, op, RolledBackError)
    assert "someone else" in report["reason"]
    assert "ImportError" in report["reason"]


def test_a_version_that_never_gets_ready_is_taken_back_at_the_deadline(stage: Any) -> None:
    """No capacity, no image: the deadline ends it."""
    stage.first()
    stage.plane.engine.start_s = 1e9
    report = stage.fails(RolledBackError, plan={"progress_deadline": "2m"})
    assert "STARTING at 0 %" in report["reason"]
    assert report["duration_s"] == pytest.approx(120, abs=10)


def test_a_canary_that_stays_unhealthy_is_taken_back(stage: Any) -> None:
    """Health is always judged, also without a metric in the plan."""
    stage.first()
    op = rollout(stage.config(), stage.plan(metrics=[], bake=600))
    drive(stage, op, until=lambda: stage.canary is not None and stage.canary.weight == 10)
    stage.plane.sicken(stage.version())
    report = finish(stage, op, RolledBackError)
    assert "unhealthy: failed 4 times in a row" in report["reason"]


def test_a_blip_of_health_costs_time_and_no_rollback(stage: Any) -> None:
    """A canary that recovers bakes on."""
    stage.first()
    op = rollout(stage.config(), stage.plan(bake=60))
    drive(stage, op, until=lambda: stage.canary is not None and stage.canary.weight == 10)
    stage.plane.sicken(stage.version())
    drive(stage, op, sleeps=5)
    stage.plane.heal(stage.version())
    assert finish(stage, op).outcome is Outcome.SUCCEEDED


def test_a_person_who_deploys_in_between_wins(stage: Any) -> None:
    """Hands off what someone else has started."""
    stage.first()
    op = rollout(stage.config(), stage.plan())
    drive(stage, op, until=lambda: stage.canary is not None and stage.canary.weight == 10)
    stage.client.deploy(stage.config(3, version_name="hotfix"), canary_percent=5)
    before = len(stage.writes)
    report = finish(stage, op, SupersededError)
    assert "hotfix" in report["reason"]
    assert len(stage.writes) == before
    assert stage.canary.name == "hotfix"


def test_a_rollout_waits_for_the_one_before_it(stage: Any) -> None:
    """A stranger's canary is waited for, then it is our turn."""
    stage.first()
    stage.client.deploy(stage.config(3, version_name="theirs"), canary_percent=5)
    op = rollout(stage.config(), stage.plan())
    drive(stage, op, sleeps=10)
    assert stage.canary.name == "theirs"
    stage.client.rollback("rec")
    assert finish(stage, op).outcome is Outcome.SUCCEEDED


def test_a_service_terminated_in_between_stays_terminated(stage: Any) -> None:
    """Someone stopped it, and meant it."""
    stage.first()
    op = rollout(stage.config(), stage.plan())
    drive(stage, op, until=lambda: stage.canary is not None and stage.canary.weight == 10)
    stage.client.terminate("rec")
    before = len(stage.writes)
    report = finish(stage, op, RolloutError)
    assert "terminated by someone else" in report["reason"]
    assert len(stage.writes) == before


def test_a_persons_brake_is_not_pushed_back_up(stage: Any) -> None:
    """Weight 0 by hand holds, and the rollout pauses."""
    stage.first()
    op = rollout(stage.config(), stage.plan(bake=600))
    drive(stage, op, until=lambda: stage.canary is not None and stage.canary.weight == 10)
    stage.client.shift("rec", canary_percent=0)
    report = finish(stage, op, RolloutPausedError)
    assert report["pause"] == "drift"
    assert stage.canary.weight == 0


def test_an_answer_lost_on_the_way_deploys_nothing_twice(stage: Any) -> None:
    """The server has it: the next look finds it."""
    stage.first()
    stage.plane.drop_answer("PUT /api/v2/services-v2/apply")
    assert stage.run().outcome is Outcome.SUCCEEDED
    assert "trouble" in stage.kinds
    versions = {spec.version_id for spec in stage.plane.engine.specs.values()}
    assert len(versions) == 2


def test_a_control_plane_that_is_away_for_a_while_is_waited_for(stage: Any) -> None:
    """Twenty looks without an answer cost twenty looks."""
    stage.first()
    op = rollout(stage.config(), stage.plan())
    drive(stage, op, until=lambda: stage.canary is not None and stage.canary.weight == 10)
    for _ in range(20):
        stage.plane.drop_answer("GET /api/v2/services-v2/service2")
    assert finish(stage, op).outcome is Outcome.SUCCEEDED
    assert any(event.kind == "trouble" and event.message.startswith("no answer") for event in stage.events)


def test_a_control_plane_that_stays_away_ends_with_a_retryable_error(stage: Any) -> None:
    """Every wait has a deadline; a scheduler may try again."""
    stage.first()
    for _ in range(200):
        stage.plane.drop_answer("GET")
    with pytest.raises(TransportError) as caught:
        stage.run(plan={"progress_deadline": "1m"})
    assert caught.value.retryable


@pytest.mark.parametrize("keep_journal", [True, False])
def test_killed_at_any_effect_it_is_finished_by_the_next_run(stage: Any, keep_journal: bool) -> None:
    """The weight is the checkpoint: wherever it dies, the next run goes on and deploys nothing twice."""
    stage.first()
    for effects in range(0, 160, 9):
        op = rollout(stage.config(2), stage.plan(bake=10), journal=stage.journal if keep_journal else None)
        drive(stage, op, effects=effects)
        op.close()
    assert stage.run(plan={"bake": 10}).outcome in {Outcome.SUCCEEDED, Outcome.NO_CHANGE}
    assert len(stage.plane.engine.specs) == 2


@pytest.mark.parametrize(("status", "times"), [(409, 4), (422, 1), (403, 1)])
def test_a_deploy_that_is_refused_is_not_tried_for_ever(stage: Any, status: int, times: int) -> None:
    """A conflict may pass, so it is tried a few times; a fault in the request will not, nor a wrong token."""
    stage.first()
    with pytest.raises(RejectedError, match="no"):
        refuse_writes(stage, rollout(stage.config(), stage.plan()), status)
    assert stage.plane.requests.count("refused") == times
    assert stage.canary is None


def refuse_writes(stage: Any, op: Op[Any], status: int) -> None:
    """Hold the conversation to its end, with a no to every PUT."""
    effect = next(op)
    while True:
        if isinstance(effect, Request) and effect.method == "PUT":
            stage.plane.requests.append("refused")
            effect = op.send(Reply(status, b'{"error": {"detail": "no"}}'))
        else:
            effect = respond(stage, op, effect)


def test_time_that_nobody_watched_is_not_baked(stage: Any) -> None:
    """A worker that was away for an hour has seen nothing of it."""
    stage.first()
    op = rollout(stage.config(), stage.plan(bake=300))
    drive(stage, op, until=lambda: stage.canary is not None and stage.canary.weight == 10)
    drive(stage, op, sleeps=5)
    op.close()
    stage.plane.advance(3600)
    op = rollout(stage.config(), stage.plan(bake=300), journal=stage.journal)
    drive(stage, op, sleeps=3)
    assert stage.journal is not None
    assert stage.journal.baked_s < 120
    op.close()


def test_a_journal_that_makes_no_sense_is_as_good_as_lost(stage: Any) -> None:
    """A hint must not be able to stop a rollout."""
    stage.first()
    assert stage.run(journal={"rollout_key": 5}).outcome is Outcome.SUCCEEDED
    assert stage.run(1, journal=stage.journal).outcome is Outcome.SUCCEEDED


def test_nothing_that_is_told_or_kept_holds_a_secret(stage: Any) -> None:
    """Environment variables stay out of events, journal and report."""
    stage.first()
    config = stage.config(2, env_vars={"API_KEY": "s3cret"})
    report = stage.client.rollout(config, stage.plan())
    told = [json.dumps(event.to_dict()) for event in stage.events]
    assert not any(
        "s3cret" in text for text in [*told, str(report.to_dict()), stage.journal.model_dump_json()]
    )


def test_events_survive_as_plain_values(stage: Any) -> None:
    """Adapters pass them between processes, and show kind, service, version, weight, message and time."""
    stage.first()
    stage.run()
    for event in stage.events:
        assert Event.from_dict(json.loads(json.dumps(event.to_dict()))) == event
        assert (event.service, event.version) == ("rec", stage.version())
        assert "\n" not in str(event)
    assert {event.weight for event in stage.events} >= {None, 10, 50}


GOOD = {"name": "rec", "applications": [{"import_path": "main:app"}]}


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"config": {"name": "rec"}}, ConfigError, "applications"),
        ({"config": {"applications": GOOD["applications"]}}, ConfigError, "name"),
        ({"config": "nowhere.yaml"}, ConfigError, "nowhere.yaml"),
        ({"plan": {"steps": "5"}}, PlanError, "steps"),
        ({"plan": "no.yaml"}, PlanError, "no.yaml"),
        ({"poll_interval_s": 0}, ConfigError, "poll_interval_s"),
    ],
)
def test_bad_input_is_refused_before_anything_is_done(
    stage: Any, given: dict[str, Any], kind: type[Exception], said: str
) -> None:
    """The message names what is wrong, and the service was not touched."""
    with pytest.raises(kind, match=said):
        stage.client.rollout(**{"config": GOOD, "plan": {"steps": [5]}, **given})
    assert stage.writes == []


def test_a_version_name_of_the_users_own_leads_the_name() -> None:
    """People find their release again."""
    from anyservice_core.rollout.identity import rollout_key, version_name

    config = ServiceConfig(name="rec", version_name="2026-11", applications=[{"import_path": "main:app"}])
    assert version_name(config, rollout_key(config)).startswith("2026-11-")
    assert rollout_key(config) == rollout_key(config.options(version_name="other"))
    assert rollout_key(config) != rollout_key(config, attempt=1)
    assert rollout_key(config) != rollout_key(config.options(env_vars={"A": "2"}))


def test_a_journal_of_another_build_is_not_taken_over(stage: Any) -> None:
    """What was learnt about one version says nothing about the next."""
    stage.first()
    stage.run()
    old: Journal = stage.journal
    report = stage.run(3, journal=old)
    assert report.outcome is Outcome.SUCCEEDED
    assert report.baseline_version == old.version


def drive(stage: Any, op: Op[Any], *, until: Any = None, sleeps: int = 10**9, effects: int = 10**9) -> None:
    """Hold the conversation for a while; the rollout must not end meanwhile, unless only effects are counted."""
    from anyservice_core.effects import Save, Sleep

    try:
        effect = op.send(None) if not hasattr(stage, "held") or stage.held[0] is not op else stage.held[1]
        while effects > 0 and sleeps > 0 and not (until and has(until)):
            if isinstance(effect, Save):
                stage.journal = effect.value
            effect = respond(stage, op, effect)
            sleeps -= isinstance(effect, Sleep)
            effects -= 1
        stage.held = (op, effect)
    except StopIteration:
        assert effects < 10**8


def has(condition: Any) -> bool:
    return bool(condition())


def respond(stage: Any, op: Op[Any], effect: Any) -> Any:
    try:
        answer = stage.client._perform(effect)
    except Exception as error:  # noqa: BLE001
        return op.throw(error)
    return op.send(answer)


def finish(stage: Any, op: Op[Any], kind: type[RolloutError] | None = None) -> Any:
    """Hold the conversation to its end."""
    effect = stage.held[1]
    try:
        while True:
            effect = respond(stage, op, effect)
    except StopIteration as stop:
        assert kind is None
        return stop.value
    except RolloutError as error:
        assert kind is not None, error
        assert type(error) is kind
        return error.report


def test_a_plan_that_lies_in_the_folder_may_be_edited_on_the_way(stage: Any, tmp_path: Any) -> None:
    """It is no part of the build, so the run that goes on finds the canary that the first one brought."""
    stage.first()
    (tmp_path / "main.py").write_text("v2 = 1")
    plan = tmp_path / "rollout.yaml"
    config = stage.config(working_dir=str(tmp_path))
    plan.write_text(
        "steps: [10]\nbake: 1s\non_drift: pause\nmetrics: [{name: e, provider: router, compare: {}}]"
    )
    with pytest.raises(RolloutPausedError):
        stage.client.rollout(config, plan)
    plan.write_text("steps: [10, 20]\nbake: 1s")
    assert stage.client.rollout(config, str(plan), journal=stage.journal).outcome is Outcome.SUCCEEDED
    assert stage.writes.count("PUT /api/v2/services-v2/apply") == 3
