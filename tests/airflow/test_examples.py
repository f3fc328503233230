from __future__ import annotations

from pathlib import Path

import pytest

from anyservice_core import RolloutPlan, ServiceConfig

pytestmark = pytest.mark.airflow

EXAMPLES = Path(__file__).parents[2] / "dags_examples"
FILES = sorted(path for path in EXAMPLES.glob("*.py") if "airflow_provider" in path.read_text())
# Assets have names from then on.
MARKS = {"model_asset": pytest.mark.needs_airflow(3, 0)}


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=MARKS.get(path.stem, ())) for path in FILES]
)
def test_an_example_is_read_by_airflow_and_survives_its_database(path, dag_bag, serialised):
    """The parser takes the file without a complaint, and the scheduler sees the same DAG."""
    bag = dag_bag(path)

    assert bag.import_errors == {}
    for dag in bag.dags.values():
        assert set(serialised.from_dict(serialised.to_dict(dag)).task_ids) == set(dag.task_ids)
    assert bag.dags


def test_the_examples_files_are_what_their_tasks_take():
    """Config and plan beside the examples are checked by the models that read them in earnest."""
    config = ServiceConfig.from_yaml(EXAMPLES / "recommender" / "service.yaml")
    plan = RolloutPlan.from_yaml(EXAMPLES / "recommender" / "rollout.yaml")

    assert config.name == "recommender"
    assert plan.weights == (10, 50)
