"""One rollout of a service at a time, and by whom."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred

from airflow_provider import turns
from airflow_provider.operators import RolloutOperator
from airflow_provider.triggers import TurnTrigger
from airflow_provider.turns import Holder, claim, holder, release

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(30)]

CONN = "anyservice_default"
PLACE = {"task_id": "rollout", "map_index": -1}


def ti(run_id, dag_id="nightly"):
    return SimpleNamespace(dag_id=dag_id, run_id=run_id, **PLACE)


@pytest.fixture
def states(monkeypatch):
    """What Airflow says of tasks, by run; and its Variables, in a dict."""
    values: dict[str, str] = {}
    known: dict[str, str] = {}
    fake = SimpleNamespace(get=values.get, set=values.__setitem__, delete=lambda name: values.pop(name, None))
    monkeypatch.setattr(turns, "Variable", fake)
    monkeypatch.setattr(turns, "task_state", lambda ti: known.get(ti.run_id))
    return known


@pytest.fixture
def other(airflow, states):
    """Another run that rolls the recommender out at present."""
    states["other"] = "deferred"
    claim(ti("other"), "recommender", CONN, "r-theirs")
    for name, value in vars(ti("mine")).items():
        setattr(airflow.ti, name, value)
    return states


def rollout(config, **options):
    with DAG("nightly", schedule=None):
        return RolloutOperator(
            task_id="rollout", config=config, plan={"steps": [10]}, poll_interval_s=5, **options
        )


def test_who_comes_second_is_told_whose_turn_it_is(airflow, serving, config, other):
    """With "fail" the second run ends before anything is deployed, and names the run that holds the service."""
    with pytest.raises(AirflowFailException, match=r"run other of DAG nightly.*r-theirs"):
        airflow.run(rollout(config.options(tags={"a": "b"}), on_conflict="fail", deferrable=True))

    assert len(serving.engine.specs) == 1


def test_a_turn_is_waited_for_in_the_triggerer(airflow, serving, config, other):
    """With "wait" no worker is held, and the rollout begins when the other one is over."""
    operator = airflow.ready(rollout(config.options(tags={"a": "b"}), deferrable=True))
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(airflow.context)
    assert isinstance(deferred.value.trigger, TurnTrigger)
    assert len(serving.engine.specs) == 1

    other["other"] = "success"
    event = airflow.fire(deferred.value.trigger)
    with pytest.raises(TaskDeferred) as going:
        operator.resume_execution("resume", {"event": event}, airflow.context)
    assert airflow.fire(going.value.trigger)["result"]["outcome"] == "succeeded"


def test_a_turn_that_does_not_come_ends_with_a_sentence(airflow, other):
    """The deadline is absolute, and the message says who has not let go."""
    trigger = TurnTrigger(
        conn_id=CONN,
        poll_interval_s=5.0,
        service="recommender",
        asker=Holder.of(ti("mine"))._asdict(),
        deadline=0.0,
    )
    event = airflow.fire(trigger)

    assert event["error"] == "WaitTimeoutError"
    assert "run other of DAG nightly" in event["message"]


@pytest.mark.parametrize("state", ["failed", "success", "skipped", None])
def test_a_run_that_is_over_holds_nobody_up(other, state):
    """It crashed, or its note was left behind: the note is believed only as long as Airflow confirms it."""
    other["other"] = state

    assert holder(ti("mine"), "recommender", CONN) is None


def test_a_task_is_not_in_its_own_way(other):
    """A retry finds the note of its first try, and goes on."""
    assert holder(ti("other"), "recommender", CONN) is None
    assert holder(ti("mine"), "recommender", CONN).run_id == "other"
    assert holder(ti("mine"), "recommender", "staging") is None


def test_only_ones_own_note_is_taken_back(other):
    """A run that ends late must not open the door for a third while the second is at it."""
    release(ti("mine"), "recommender", CONN)
    assert holder(ti("mine"), "recommender", CONN) is not None

    release(ti("other"), "recommender", CONN)
    assert holder(ti("mine"), "recommender", CONN) is None


def test_a_stranger_to_airflow_is_named_by_its_version(airflow, serving, config, states):
    """Somebody has deployed a canary by hand: with "fail" this run says which, and keeps its hands off."""
    with serving.client() as client:
        client.deploy(config.options(version_name="theirs"), canary_percent=20)
    with pytest.raises(AirflowFailException, match="version theirs, which is no task's"):
        airflow.run(rollout(config.options(tags={"a": "b"}), on_conflict="fail", deferrable=True))

    assert serving.service("recommender").canary.name == "theirs"


# ── clear ──


def test_a_cleared_task_believes_its_journal_only_while_its_version_lives(airflow, serving, config, states):
    """Marked failed, the canary was taken back; cleared, the task deploys anew instead of mourning it."""
    task = rollout(config.options(tags={"a": "b"}), deferrable=True, retries=2)
    with pytest.raises(TaskDeferred):
        airflow.ready(task).execute(airflow.context)
    with serving.client() as client:
        client.rollback("recommender")
    serving.advance(120)
    airflow.ti.try_number, airflow.ti.max_tries = 2, 3

    assert airflow.run(task)["outcome"] == "succeeded"


@pytest.mark.needs_airflow(3, 3)
def test_a_retry_does_not_bring_back_what_a_person_has_taken_back(airflow, serving, config, states):
    """The same after a crash: the try is not the first since a clear, so the journal is believed."""
    task = rollout(config.options(tags={"a": "b"}), deferrable=True, retries=2)
    with pytest.raises(TaskDeferred):
        airflow.ready(task).execute(airflow.context)
    serving.advance(30)
    with pytest.raises(TaskDeferred):
        task.execute(airflow.context)
    with serving.client() as client:
        client.rollback("recommender")
    serving.advance(120)
    airflow.ti.try_number, airflow.ti.max_tries = 2, 2

    with pytest.raises(AirflowFailException):
        airflow.run(task)
    assert serving.service("recommender").primary.name == "v1"
