from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from anyservice_core import RolloutPlan, ServiceConfig

pytestmark = pytest.mark.airflow

EXAMPLES = Path(__file__).parents[2] / "dags_examples"
FILES = sorted(path for path in EXAMPLES.glob("*.py") if "airflow_provider" in path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_read_by_airflow_and_survives_its_database(path):
    """The parser takes the file without a complaint, and the scheduler sees the same DAG."""
    bag = DagBag(path)

    assert bag.import_errors == {}
    for dag in bag.dags.values():
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert set(again.task_ids) == set(dag.task_ids)
    assert bag.dags


def test_the_examples_files_are_what_their_tasks_take():
    """Config and plan beside the examples are checked by the models that read them in earnest."""
    config = ServiceConfig.from_yaml(EXAMPLES / "recommender" / "service.yaml")
    plan = RolloutPlan.from_yaml(EXAMPLES / "recommender" / "rollout.yaml")

    assert config.name == "recommender"
    assert plan.weights == (10, 50)
