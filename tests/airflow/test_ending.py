from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider.operators import ArchiveOperator, DeleteOperator, TerminateOperator

pytestmark = pytest.mark.airflow

PUT_AWAY = pytest.mark.parametrize(
    ("operator", "word"), [(ArchiveOperator, "archived"), (DeleteOperator, "deleted")]
)


def task(operator, **options):
    with DAG("a_dag", schedule=None):
        return operator(task_id="end", service="recommender", poll_interval_s=2, **options)


@PUT_AWAY
def test_a_terminated_service_is_put_away(airflow, serving, operator, word):
    """Terminate, then archive or delete: three tasks that follow each other in a clean-up DAG."""
    airflow.run(task(TerminateOperator))
    done = airflow.run(task(operator))

    assert done["name"] == "recommender"
    assert done[word] is True
    with serving.client() as client:
        assert [service.name for service in client.list()] == []


@PUT_AWAY
def test_putting_away_what_is_not_there_is_what_was_wanted(airflow, plane, caplog, operator, word):
    """A second run of a clean-up DAG is green and says that there was nothing to do; on request it is not."""
    with caplog.at_level("INFO"):
        assert airflow.run(task(operator)) == {"name": "recommender", "id": None, word: False}
    assert "nothing to do" in caplog.text

    with pytest.raises(AirflowFailException):
        airflow.run(task(operator, must_exist=True))


@PUT_AWAY
def test_a_service_that_serves_is_never_put_away(airflow, serving, operator, word):
    """Only what was terminated goes; the refusal fails the task at once, and the service serves on."""
    with pytest.raises(AirflowFailException):
        airflow.run(task(operator))

    assert serving.service("recommender").primary.name == "v1"
