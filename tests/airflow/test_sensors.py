from __future__ import annotations

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider.sensors import WaitSensor

pytestmark = pytest.mark.airflow

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])


def sensor(**options):
    with DAG("a_dag", schedule=None):
        return WaitSensor(task_id="wait", **{"service": "recommender", "poke_interval": 0.01, **options})


@pytest.fixture
def canary(serving, config):
    """A second version, asked to hold 10 %, still starting."""
    with serving.client() as client:
        client.deploy(config.options(version_name="v2"), canary_percent=10)
    return serving


def test_a_state_that_is_there_already_needs_no_triggerer(airflow, serving):
    """The first look is the worker's, so a wait that is over is not deferred."""
    result = airflow.run(sensor(deferrable=True))

    assert result["state"] == "RUNNING"
    assert airflow.deferred == []


def test_a_weight_is_waited_for_in_the_triggerer(airflow, canary):
    """RUNNING is not enough: the canary has to be healthy at its weight, given as a template."""
    result = airflow.run(sensor(canary_weight="{{ 10 }}", deferrable=True))

    assert (result["canary_version"]["name"], result["canary_version"]["weight"]) == ("v2", 10)
    assert len(airflow.deferred) == 1


def test_poking_says_what_is_missing(airflow, canary, caplog):
    """Each look leaves a line, and answers no until the weight is there."""
    wait = airflow.ready(sensor(canary_weight=10))
    with caplog.at_level("INFO"):
        assert wait.poke(airflow.context) is False
    assert "at 0%, waiting for 10%" in caplog.text
    canary.advance(60)

    assert wait.poke(airflow.context).is_done


@pytest.mark.needs_airflow(3, 0)  # older ones count in their database
def test_rescheduling_gives_the_worker_back(airflow, canary):
    """In mode reschedule a look that finds nothing ends the task until the next one."""
    wait = airflow.ready(sensor(canary_weight=10, mode="reschedule"))
    airflow.ti.get_first_reschedule_date = lambda _: None
    with pytest.raises(AirflowRescheduleException):
        wait.execute(airflow.context)


def test_an_answer_that_fails_to_come_costs_a_poke(airflow, canary):
    """A control plane that is silent for a moment does not fail the wait."""
    wait = airflow.ready(sensor(canary_weight=10))
    for _ in range(5):
        canary.drop_answer("GET")

    assert wait.poke(airflow.context) is False


@BOTH_WAYS
def test_a_version_that_was_taken_back_ends_the_wait_at_once(airflow, canary, deferrable):
    """What cannot lead to the goal is not waited for."""
    canary.break_version("v2")
    canary.advance(300)
    with pytest.raises(AirflowFailException, match="neither primary nor canary"):
        airflow.run(sensor(version="v2", canary_weight=10, deferrable=deferrable))


@BOTH_WAYS
def test_soft_fail_skips_instead(airflow, canary, deferrable):
    """A wait without hope skips the task where that was asked for."""
    canary.break_version("v2")
    canary.advance(300)
    with pytest.raises(AirflowSkipException):
        airflow.run(sensor(version="v2", canary_weight=10, soft_fail=True, deferrable=deferrable))


@pytest.mark.parametrize(
    ("soft_fail", "error"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)]
)
def test_a_deferred_wait_ends_at_its_deadline(airflow, canary, soft_fail, error):
    """A deadline is a sensor's time-out, however it was waited for."""
    canary.engine.start_s = 3_600.0
    wait = sensor(canary_weight=10, deferrable=True, timeout=30, poke_interval=5, soft_fail=soft_fail)
    with pytest.raises(error):
        airflow.run(wait)


def test_a_deferred_wait_keeps_its_deadline_over_restarts(airflow, canary):
    """The deadline is a moment, not a length, and Airflow's own time-out comes well after it."""
    wait = airflow.ready(sensor(canary_weight=10, deferrable=True, timeout=30))
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute(airflow.context)
    trigger = deferred.value.trigger
    trigger.deadline -= 60

    assert airflow.fire(trigger)["error"] == "WaitTimeoutError"
    assert deferred.value.timeout.total_seconds() > 30


def test_a_goal_that_is_none_fails_for_good(airflow, serving):
    """A state that does not exist is a slip of the pen, not something to wait for."""
    with pytest.raises(AirflowFailException, match="RUNING"):
        airflow.run(sensor(state="RUNING"))
