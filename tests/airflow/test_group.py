"""A rollout as a group of tasks: one rollout all the same."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred

from airflow_provider.group import progressive_deploy_group
from anyservice_core import ConfigError

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(40)]

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
PLAN = {
    "steps": [10, {"weight": 50, "approval": {"timeout": "10m"}}],
    "bake": "2m",
    "metrics": [{"name": "errors", "provider": "router"}],
    "promotion": {"timeout": "10m", "on_timeout": "promote"},
}


def group(config, plan=PLAN, **options):
    with DAG("a_dag", schedule=None) as dag:
        progressive_deploy_group(config, plan, poll_interval_s=5, **options)
    return dag


class PerTask:
    """XComs of several tasks, as the group's tasks see each other's."""

    def __init__(self, ti):
        self.ti = ti
        self.of = {}

    def run(self, airflow, dag, name):
        return airflow.run(self.begin(airflow, dag, name))

    def begin(self, airflow, dag, name):
        """Give the task, with its own XComs behind it."""
        task = dag.get_task(f"rollout.{name}")
        airflow.ti.xcoms = self.of.setdefault(task.task_id, {})
        airflow.store.forget()
        airflow.ti.xcom_pull = self.pull
        return task

    def ask(self, airflow, dag, name):
        """Let an approval come to its question; give the task, and the trigger that watches meanwhile."""
        task = airflow.ready(self.begin(airflow, dag, name))
        with pytest.raises(TaskDeferred) as asked:
            task.execute(airflow.context)
        if task.part.gate in asked.value.trigger.stops:  # a measurement was due first
            event = airflow.fire(asked.value.trigger)
            with pytest.raises(TaskDeferred) as asked:
                task.resume_execution("resume", {"event": event}, airflow.context)
        return task, asked.value.trigger

    def pull(self, task_ids=None, key="return_value"):
        return self.of.get(task_ids, {}).get(key)


@pytest.fixture
def tasks(airflow):
    return PerTask(airflow.ti)


def test_each_step_and_each_approval_is_a_task(config, serialised):
    """They stand in a row, each of them leads to the one undo, and the scheduler sees the same."""
    dag = group(config)
    again = serialised.from_dict(serialised.to_dict(dag))
    row = ["step_10", "step_50", "approve_50", "approve_promotion", "promote", "undo"]

    assert {task.task_id for task in again.tasks} == {f"rollout.{name}" for name in row}
    for before, after in pairwise(row[:-1]):
        assert f"rollout.{after}" in dag.get_task(f"rollout.{before}").downstream_task_ids
    assert dag.get_task("rollout.undo").upstream_task_ids == {f"rollout.{name}" for name in row[:-1]}
    assert [leaf.task_id for leaf in dag.leaves] == ["rollout.undo"]


@pytest.fixture
def questions(monkeypatch):
    """The questions that were asked of people."""
    asked = []
    monkeypatch.setattr(
        "airflow_provider.gates.asks_people", lambda: lambda **question: asked.append(question)
    )
    return asked


def answer(choice, at):
    """What Airflow resumes a task with when somebody has answered."""
    return {
        "chosen_options": [choice],
        "params_input": {},
        "responded_at": datetime.fromtimestamp(at, UTC),
        "responded_by_user": {"id": "7", "name": "Ada"},
    }


@pytest.fixture
def asking(airflow, serving, config, tasks, questions):
    """A group that has come to its first approval: its tasks, the one that asks, and the trigger that watches."""
    serving.send_traffic(100)
    airflow.ti.of_a_run()
    dag = group(config.options(tags={"a": "b"}), deferrable=False)
    for name in ("step_10", "step_50"):
        tasks.run(airflow, dag, name)
    task, watching = tasks.ask(airflow, dag, "approve_50")
    return dag, task, watching


def answered(airflow, task, choice):
    airflow.plane.advance(5)  # people take their time
    return task.resume_execution("resume", {"event": answer(choice, airflow.plane.now)}, airflow.context)


@pytest.mark.needs_airflow(3, 3)
def test_an_approval_ends_with_a_yes_and_moves_nothing(airflow, serving, tasks, asking, questions):
    """It waits in the triggerer, whatever the other tasks do; the next weight is for the next task to bring."""
    dag, task, _ = asking
    assert len(questions) == 1
    assert answered(airflow, task, "Approve")["weight"] == 50
    assert serving.service("recommender").canary.weight == 50

    last, _ = tasks.ask(airflow, dag, "approve_promotion")
    assert answered(airflow, last, "Approve")["weight"] == 50
    report = tasks.run(airflow, dag, "promote")

    assert report["outcome"] == "succeeded"
    told = [
        event["message"] for event in airflow.ti.xcoms["events"]
    ]  # the page of the last part tells of them all
    assert {"weight 10 % seen, baking 2m", "approve by Ada: answered in Airflow"} <= set(told)
    assert [(order["by"], order["gate"]) for order in report["orders"]] == [
        ("Ada", "50"),
        ("Ada", "promotion"),
    ]
    assert len(questions) == 2


def test_a_canary_that_turns_bad_while_people_think_is_taken_back(airflow, serving, tasks, asking):
    """Its metrics are measured on; the question is over, and the run is red."""
    dag, task, watching = asking
    serving.send_traffic(100, errors={serving.service("recommender").canary.name: 0.5})
    event = airflow.fire(watching)
    with pytest.raises(AirflowFailException, match="rolled back: errors"):
        task.resume_execution("resume", {"event": event}, airflow.context)

    assert serving.service("recommender").canary is None
    with pytest.raises(AirflowFailException, match="v1 serves again"):
        tasks.run(airflow, dag, "undo")


def test_a_no_takes_the_canary_back_and_says_whose_it_was(airflow, serving, asking):
    """The task that has asked fails with it, so that nothing after it runs but undo."""
    _, task, _ = asking
    with pytest.raises(TaskDeferred) as deferred:
        answered(airflow, task, "Roll back")
    event = airflow.fire(deferred.value.trigger)
    with pytest.raises(AirflowFailException, match="aborted by Ada"):
        task.resume_execution("resume", {"event": event}, airflow.context)

    assert serving.service("recommender").canary is None


def test_silence_means_what_the_plan_says(airflow, serving, tasks, asking):
    """Ten minutes without a word take it back here; after the last question of this plan it would go on."""
    _, task, watching = asking
    with pytest.raises(AirflowFailException, match="nobody approved the step at 50 % within 10m"):
        task.resume_execution("resume", {"event": airflow.fire(watching)}, airflow.context)

    assert serving.service("recommender").canary is None


def test_silence_may_mean_yes(airflow, serving, config, tasks, questions):
    """Then the approval is over, and the promotion is the next task's as ever."""
    serving.send_traffic(100)
    airflow.ti.of_a_run()
    dag = group(config.options(tags={"a": "b"}), {"steps": [10], "promotion": PLAN["promotion"]})
    tasks.run(airflow, dag, "step_10")
    task, watching = tasks.ask(airflow, dag, "approve_promotion")
    result = task.resume_execution("resume", {"event": airflow.fire(watching)}, airflow.context)

    assert result["weight"] == 10
    assert tasks.run(airflow, dag, "promote")["outcome"] == "succeeded"


def test_what_is_changed_in_the_files_meanwhile_is_for_the_next_run(
    airflow, serving, config, tmp_path, tasks
):
    """A part goes on with the version that the parts before have brought; otherwise it would wait for its own canary."""
    serving.send_traffic(100)
    path = tmp_path / "service.yaml"
    text = "name: recommender\napplications: [{import_path: main:app}]\nenv_vars: {A: '%s'}\n"
    path.write_text(text % "one")
    dag = group(str(path), service="recommender", deferrable=False)
    for name in ("step_10", "step_50"):
        version = tasks.run(airflow, dag, name)["version_name"]
        path.write_text(text % name)

    assert tasks.run(airflow, dag, "promote")["version_name"] == version
    assert serving.service("recommender").primary.name == version
    assert len(serving.engine.specs) == 2


def test_an_approval_that_was_marked_success_is_passed_by(airflow, serving, config, tasks):
    """Its task has left no journal; the next goes on from the one before it, and bakes nothing twice."""
    serving.send_traffic(100)
    dag = group(config.options(tags={"a": "b"}))
    for name in ("step_10", "step_50"):
        tasks.run(airflow, dag, name)

    assert [step["weight"] for step in tasks.run(airflow, dag, "promote")["steps"]] == [10, 50]


@BOTH_WAYS
def test_the_parts_are_one_rollout(airflow, serving, config, tasks, *, deferrable):
    """Each part goes on from the weight and the journal of the one before: one version, each weight baked once."""
    serving.send_traffic(100)
    dag = group(config.options(tags={"a": "b"}), deferrable=deferrable)
    assert tasks.run(airflow, dag, "step_10")["weight"] == 10
    assert serving.service("recommender").canary.weight == 10
    assert tasks.run(airflow, dag, "step_50")["weight"] == 50
    assert serving.service("recommender").canary.weight == 50
    report = tasks.run(airflow, dag, "promote")

    assert report["outcome"] == "succeeded"
    assert [(step["weight"], step["phase"]) for step in report["steps"]] == [
        (10, "successful"),
        (50, "successful"),
    ]
    assert all(120 <= step["baked_s"] < 180 for step in report["steps"])
    assert len(serving.engine.specs) == 2


@BOTH_WAYS
def test_a_bad_part_takes_the_canary_back_itself(airflow, serving, config, tasks, *, deferrable):
    """The rules of the plan hold in each part; undo finds nothing left to do, and fails so that the run is red."""
    serving.send_traffic(100)
    airflow.on_event = lambda event: (
        serving.send_traffic(100, errors={event.version: 0.5}) if "10 % seen" in str(event) else None
    )
    dag = group(config.options(tags={"a": "b"}), deferrable=deferrable)
    with pytest.raises(AirflowFailException, match="rolled back: errors"):
        tasks.run(airflow, dag, "step_10")
    with pytest.raises(AirflowFailException, match="v1 serves again"):
        tasks.run(airflow, dag, "undo")

    assert serving.service("recommender").canary is None


def test_a_no_between_two_parts_is_undone(airflow, serving, config, tasks):
    """The approval has failed, its task says nothing, and undo takes back the version that the parts have brought."""
    serving.send_traffic(100)
    dag = group(config.options(tags={"a": "b"}))
    tasks.run(airflow, dag, "step_10")
    tasks.run(airflow, dag, "step_50")
    with pytest.raises(AirflowFailException, match="v1 serves again"):
        tasks.run(airflow, dag, "undo")

    assert serving.service("recommender").canary is None


def test_undo_keeps_its_hands_off_what_is_not_ours(airflow, serving, config, tasks):
    """Nothing was deployed, or another's canary has taken the place: it stays."""
    dag = group(config.options(tags={"a": "b"}))
    with serving.client() as client:
        client.deploy(config.options(version_name="theirs"), canary_percent=20)
    with pytest.raises(AirflowFailException, match="Nothing was deployed"):
        tasks.run(airflow, dag, "undo")
    tasks.of["rollout.step_10"] = {"journal": {"version_name": "r-ours"}}
    with pytest.raises(AirflowFailException):
        tasks.run(airflow, dag, "undo")

    assert serving.service("recommender").canary.name == "theirs"


def test_what_was_paused_is_left_for_a_person(airflow, serving, config, tasks):
    """Too little traffic to tell: the plan says pause, and undo does not know better."""
    dag = group(config.options(tags={"a": "b"}))
    with pytest.raises(AirflowFailException, match="paused"):
        tasks.run(airflow, dag, "step_10")
    with pytest.raises(AirflowFailException, match="left as it is"):
        tasks.run(airflow, dag, "undo")

    assert serving.service("recommender").canary.weight == 10


def test_what_a_group_cannot_do_is_told_when_the_dag_is_read(config):
    """A path has no name yet, so the task that may have to take it back would not know what."""
    with pytest.raises(ConfigError, match="service: missing"):
        group("service.yaml")
