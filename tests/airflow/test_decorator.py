from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider.decorator import canary_check

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(30)]


@pytest.fixture
def canary(serving, config):
    with serving.client() as client:
        client.deploy(config.options(version_name="v2"), canary_percent=10)
        client.wait("recommender", version="v2", canary_weight=10)
    return serving


def task(function, *args, **options):
    with DAG("a_dag", schedule=None) as dag:
        canary_check(service="recommender", task_id="check", **options)(function)(*args)
    return dag.tasks[0]


def test_a_function_is_given_what_it_names(airflow, canary):
    """Its own arguments, both versions, the address and Airflow's context: by name, and nothing else."""
    given = {}

    def looks_right(limit, canary, baseline, url, run_id):
        given.update(limit=limit, canary=canary, baseline=baseline, url=url, run_id=run_id)
        return True

    result = airflow.run(task(looks_right, 0.5))

    assert (given["limit"], given["run_id"]) == (0.5, "manual__1")
    assert (given["canary"]["name"], given["canary"]["weight"], given["baseline"]["name"]) == ("v2", 10, "v1")
    assert given["url"].startswith("http")
    assert result["canary_version"]["name"] == "v2"


@pytest.mark.parametrize("answer", [False, 0, None, "half of the answers are empty"])
def test_a_no_fails_the_task_without_a_retry(airflow, canary, answer):
    """The canary is what it is; asking again is for errors, which are raised."""
    with pytest.raises(AirflowFailException, match=r"rejects version v2.*" + (answer or "") + r"\."):
        airflow.run(task(lambda: answer))


def test_an_error_of_the_function_is_an_error(airflow, canary):
    """It says nothing of the canary: `retries` decide."""

    def broken():
        raise ConnectionError("no route")

    with pytest.raises(ConnectionError):
        airflow.run(task(broken))


def test_without_a_canary_there_is_nothing_to_check(airflow, serving):
    """That is a failure unless it is said to be fine, as in a run that brought nothing new."""
    with pytest.raises(AirflowFailException, match="no canary"):
        airflow.run(task(lambda: True))

    assert airflow.run(task(lambda: True, must_exist=False))["canary_version"] is None
