from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred

from airflow_provider import compat
from airflow_provider.operators import RolloutOperator
from airflow_provider.triggers import RolloutTrigger

pytestmark = pytest.mark.airflow

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
PLAN = {"steps": [10, 50], "bake": "2m", "metrics": [{"name": "errors", "provider": "router"}]}
CALM = {"steps": [10, 50], "bake": "2m"}
SECRET = "s3cr3t-of-the-user"


class Killed(BaseException):
    """The process ended without a word."""


def rollout(config, plan=CALM, **options):
    with DAG("a_dag", schedule=None):
        return RolloutOperator(task_id="rollout", config=config, plan=plan, poll_interval_s=5, **options)


def new(config):
    return config.options(env_vars={"TOKEN": SECRET})


def versions(plane):
    """How many versions of the service were ever deployed."""
    return len(plane.engine.specs)


@BOTH_WAYS
def test_a_good_version_gets_all_traffic(airflow, serving, config, deferrable):
    """Each weight is held for its bake and judged; the report is the task's result, and plain JSON."""
    serving.send_traffic(100)
    report = airflow.run(rollout(new(config), PLAN, deferrable=deferrable))

    assert report["outcome"] == "succeeded"
    assert [step["weight"] for step in report["steps"]] == [10, 50]
    assert serving.service("recommender").primary.name == report["version_name"]
    assert airflow.ti.xcoms["report"] == json.loads(json.dumps(report))


@BOTH_WAYS
def test_a_bad_version_is_taken_back_and_fails_the_task_without_a_retry(airflow, serving, config, deferrable):
    """A retry would bring the bad version again, so none is asked for; the report is there to read."""
    serving.send_traffic(100)
    airflow.on_event = lambda event: (
        serving.send_traffic(100, errors={event.version: 0.5}) if "10 % seen" in str(event) else None
    )
    with pytest.raises(AirflowFailException, match=r"rolled back: errors: canary"):
        airflow.run(rollout(new(config), PLAN, deferrable=deferrable))

    assert serving.service("recommender").primary.name == "v1"
    assert serving.service("recommender").canary is None
    assert airflow.ti.xcoms["report"]["outcome"] == "rolled_back"


@BOTH_WAYS
def test_a_paused_rollout_fails_the_task_and_says_how_to_go_on(airflow, serving, config, deferrable):
    """Too little traffic to tell is no reason to promote, nor to take back: a person is called."""
    with pytest.raises(AirflowFailException, match="paused.*run the same rollout again"):
        airflow.run(rollout(new(config), PLAN, deferrable=deferrable))

    assert serving.service("recommender").canary.weight == 10


def test_a_cleared_task_goes_on_where_a_pause_left_it(airflow, serving, config):
    """The person has looked and cleared the task: the same canary goes on from its weight."""
    task = rollout(new(config), PLAN, deferrable=True)
    with pytest.raises(AirflowFailException, match="paused"):
        airflow.run(task)
    serving.send_traffic(100)

    assert airflow.run(task)["outcome"] == "succeeded"
    assert versions(serving) == 2


@BOTH_WAYS
def test_someone_elses_version_ends_the_rollout(airflow, serving, config, deferrable):
    """When another deploy takes the canary's place, this rollout keeps its hands off."""

    def interfere(event):
        if "10 % seen" in str(event):
            with serving.client() as other:
                other.deploy(config.options(version_name="theirs"), canary_percent=20)

    airflow.on_event = interfere
    with pytest.raises(AirflowFailException, match="superseded: version theirs"):
        airflow.run(rollout(new(config), deferrable=deferrable))
    assert serving.service("recommender").canary.name == "theirs"


@BOTH_WAYS
def test_nothing_to_do_is_a_success(airflow, serving, config, deferrable):
    """A nightly run of an unchanged version sends nothing and is green."""
    airflow.run(rollout(new(config), deferrable=deferrable))
    airflow.run_id, sent = "manual__2", serving.requests.count("PUT /api/v2/services-v2/apply")
    airflow.store.forget()
    report = airflow.run(rollout(new(config), deferrable=deferrable))

    assert report["outcome"] == "no_change"
    assert serving.requests.count("PUT /api/v2/services-v2/apply") == sent


# ── deferral ──


def test_the_worker_deploys_and_the_triggerer_does_the_rest(airflow, serving, config):
    """The task is deferred once, with the canary on its way, and resumed once, with the report."""
    airflow.run(rollout(new(config), deferrable=True))

    assert [type(trigger) for trigger in airflow.triggers] == [RolloutTrigger]
    assert airflow.triggers[0].relay["journal"]["started"] is True


def test_no_secret_crosses_to_the_triggerer(airflow, serving, config):
    """Arguments and events are kept in Airflow's database, so neither config nor token is among them."""
    airflow.run(rollout(new(config), deferrable=True))
    everything = (
        repr(airflow.deferred[0]) + json.dumps(airflow.triggers[0].serialize()) + repr(airflow.triggers[0])
    )

    assert SECRET not in everything
    assert "aph0_" not in everything
    assert SECRET not in json.dumps(airflow.store.values) + json.dumps(airflow.ti.xcoms)


def test_a_plan_beside_the_code_is_no_part_of_the_build(airflow, serving, tmp_path):
    """Edited between two tries, it finds the canary that the first try has brought."""
    (tmp_path / "main.py").write_text("app = 1\n")
    (tmp_path / "service.yaml").write_text(
        "name: recommender\napplications: [{import_path: main:app}]\nworking_dir: .\n"
    )
    plan = tmp_path / "plan.yaml"
    for text in ("rollout: {steps: [10], bake: 1m}\n", "rollout: {steps: [10], bake: 2m}\n"):
        plan.write_text(text)
        airflow.run(rollout(str(tmp_path / "service.yaml"), str(plan)))
    assert versions(serving) == 2  # the one that served before, and ours


def test_the_triggerer_needs_no_files(airflow, serving, tmp_path):
    """The worker uploads the folder; it may be gone by the time that the triggerer goes on."""
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "main.py").write_text("app = None")
    (tmp_path / "service.yaml").write_text(
        "name: recommender\nworking_dir: src\napplications: [{import_path: main:app}]\n"
    )
    (tmp_path / "plan.yaml").write_text("rollout: {steps: [10, 50], bake: 1m}\n")
    operator = airflow.ready(
        rollout(str(tmp_path / "service.yaml"), str(tmp_path / "plan.yaml"), deferrable=True)
    )
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(airflow.context)
    for path in (folder / "main.py", tmp_path / "service.yaml", tmp_path / "plan.yaml"):
        path.unlink()

    assert airflow.fire(deferred.value.trigger)["result"]["outcome"] == "succeeded"


def test_another_rollout_in_the_way_is_waited_for_in_the_triggerer(airflow, serving, config):
    """The turn may come in an hour: no worker is held, and only a worker has the config to deploy with."""
    with serving.client() as other:
        other.deploy(config.options(version_name="theirs"), canary_percent=20)

    def finish_theirs(event):
        if "a rollout of version theirs is in progress" in str(event):
            with serving.client() as other:
                other.rollback("recommender")

    airflow.on_event = finish_theirs
    report = airflow.run(rollout(new(config), deferrable=True))

    assert report["outcome"] == "succeeded"
    assert [trigger.relay["journal"]["started"] for trigger in airflow.triggers] == [False, True]


def test_no_word_from_the_triggerer_is_reported_as_such(airflow, serving, config):
    """Airflow's own time-out passes the resume method by; the task still ends with a sentence, and no retry."""
    operator = airflow.ready(rollout(new(config), deferrable=True))
    late = "Trigger timeout" if compat.VERSION >= (3,) else "Trigger/execution timeout"
    with pytest.raises(AirflowFailException, match="triggerer"):
        operator.resume_execution("__fail__", {"error": late}, airflow.context)


@pytest.mark.parametrize(("choice", "left"), [("leave", True), ("rollback", False)])
def test_a_time_out_of_airflows_is_a_kill(airflow, serving, config, choice, left):
    """`execution_timeout` ends a deferred task without a word to the trigger; what was chosen for a kill holds."""
    operator = airflow.ready(rollout(new(config), on_kill=choice))
    with pytest.raises(TaskDeferred):
        operator.execute(airflow.context)
    late = "Trigger timeout" if compat.VERSION >= (3,) else "Trigger/execution timeout"
    another_worker = airflow.ready(rollout(new(config), on_kill=choice))
    with pytest.raises(AirflowFailException, match="time-out"):
        another_worker.resume_execution("__fail__", {"error": late}, airflow.context)
    serving.advance(60)

    assert (serving.service("recommender").canary is not None) is left


def test_a_worker_that_resumes_out_of_time_knows_what_to_take_back(airflow, serving, config):
    """Airflow 2 kills such a task before it is resumed, in a process that has seen nothing of the deploy."""
    first = airflow.ready(rollout(new(config), on_kill="rollback"))
    with pytest.raises(TaskDeferred):
        first.execute(airflow.context)
    another_worker = airflow.ready(rollout(new(config), on_kill="rollback"))
    another_worker.pre_execute(airflow.context)
    another_worker.on_kill()
    serving.advance(60)

    assert serving.service("recommender").canary is None


def test_an_event_from_nowhere_is_not_taken_for_success(airflow, config):
    """What comes back is judged before it is believed."""
    from airflow.providers.common.compat.sdk import AirflowException

    operator = airflow.ready(rollout(new(config), deferrable=True))
    for event in (None, {}, {"status": "RUNNING"}):
        with pytest.raises(AirflowException, match="not one of its own"):
            operator.resume(airflow.context, event)


# ── crashes and retries ──


@pytest.mark.parametrize("stored", [True, False], ids=["with a state store", "without one"])
@pytest.mark.parametrize("moment", ["deploying", "10 % seen", "asking for 50 %", "50 % seen", "promoting"])
def test_a_kill_at_any_moment_costs_no_second_version(airflow, serving, config, moment, stored):
    """Worker or triggerer ends without a word; the retry finds its canary and goes on from its weight."""
    seen = []

    def kill(event):
        seen.append(str(event))
        if moment in str(event) and sum(moment in line for line in seen) == 1:
            raise Killed

    airflow.on_event = kill
    task = rollout(new(config), deferrable=True)
    with pytest.raises(Killed):
        airflow.run(task)
    if not stored:
        airflow.store.forget()
    report = airflow.run(task)

    assert report["outcome"] == "succeeded"
    assert versions(serving) == 2


def test_another_triggerer_goes_on_with_the_same_trigger(airflow, serving, config):
    """A triggerer that dies hands its triggers to the next, which starts from the arguments alone."""
    operator = airflow.ready(rollout(new(config), deferrable=True))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(airflow.context)
    killed = []

    def kill(event):
        if "50 % seen" in str(event) and not killed:
            killed.append(event)
            raise Killed

    airflow.on_event = kill
    with pytest.raises(Killed):
        airflow.fire(deferred.value.trigger)

    assert airflow.fire(deferred.value.trigger)["result"]["outcome"] == "succeeded"
    assert versions(serving) == 2


@pytest.mark.needs_airflow(3, 3)
def test_a_condemned_version_is_not_tried_again_unless_forced(airflow, serving, config):
    """Clearing the task of a bad version does not bring it back by accident."""
    serving.send_traffic(100)
    airflow.on_event = lambda event: (
        serving.send_traffic(100, errors={event.version: 0.5}) if "10 % seen" in str(event) else None
    )
    for why in ("rolled back: errors", "not tried again"):
        with pytest.raises(AirflowFailException, match=why):
            airflow.run(rollout(new(config), PLAN, deferrable=True))
    airflow.on_event = lambda _: None
    serving.send_traffic(100)

    assert airflow.run(rollout(new(config), PLAN, deferrable=True, force=True))["outcome"] == "succeeded"


# ── input ──


def test_a_plan_that_cannot_be_run_is_told_when_the_dag_is_read(config):
    """A mapping is checked at once, so the mistake is an import error of the DAG and not of tonight's run."""
    with pytest.raises(ValueError, match="weights must strictly increase"):
        rollout(config, {"steps": [50, 10]})


def test_a_plan_keeps_its_own_slots(airflow, config):
    """`{{ version.id }}` in a query is filled in by the rollout, not by Airflow's templates."""
    query = 'sum(errors{version="{{ version.id }}"}[{{ window }}])'
    prometheus = {"address": "http://prometheus:9090", "errors": query, "requests": query}
    metric = {"name": "errors", "provider": {"prometheus": prometheus}, "compare": {}}
    operator = airflow.ready(rollout(config, {"steps": [10], "metrics": [metric]}))

    assert operator.plan.metrics[0].provider.errors == query
    assert "errors: sum(errors{version=" in str(operator.plan)  # what the UI shows as the rendered field
