from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider import counting
from airflow_provider.lineage import output_of
from airflow_provider.operators import DeployOperator, RolloutOperator
from anyservice_core.rollout import Event, Kind

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(30)]


@dataclass
class Heard:
    """Stands for Airflow's Stats."""

    counts: dict[str, int] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    def incr(self, name, count=1, rate=1, *, tags=None):
        assert tags["service"] == "recommender"
        self.counts[name] = self.counts.get(name, 0) + count

    def timing(self, name, dt, *, tags=None):
        self.times[f"{name}/{tags['outcome']}"] = dt.total_seconds()


@pytest.fixture
def stats(monkeypatch):
    heard = Heard()
    monkeypatch.setattr(counting, "Stats", heard)
    return heard


def test_a_rollout_is_counted_step_by_step(airflow, serving, config, stats):
    """Worker and triggerer count together: steps, the promotion, the end, and how long all of it took."""
    with DAG("a_dag", schedule=None):
        task = RolloutOperator(
            task_id="rollout",
            config=config.options(tags={"a": "b"}),
            plan={"steps": [10, 50], "bake": "1m"},
            poll_interval_s=5,
            deferrable=True,
        )
    airflow.run(task)

    assert stats.counts == {
        "anyservice.rollout.steps": 2,
        "anyservice.rollout.promotions": 1,
        "anyservice.rollout.finished": 1,
    }
    assert stats.times["anyservice.rollout.duration/succeeded"] > 120


def test_a_wait_is_counted_where_somebody_is_waited_for(stats):
    """For people and windows; not for a server, nor for the next task of a group."""
    for gate in ("10", "window:advance", "end", None):
        counting.count(Event(Kind.WAITING, "recommender", "v2", 10, "held", 0.0, {"gate": gate}))

    assert stats.counts == {"anyservice.rollout.waits": 2}


def test_the_output_of_a_task_is_the_service_on_its_plane(airflow, serving, config, monkeypatch):
    """OpenLineage is given a name that does not depend on which task has changed the service."""

    @dataclass
    class OperatorLineage:
        outputs: list

    @dataclass
    class Dataset:
        namespace: str
        name: str

    for path, name, value in (
        ("airflow.providers.openlineage.extractors", "OperatorLineage", OperatorLineage),
        ("airflow.providers.common.compat.openlineage.facet", "Dataset", Dataset),
    ):
        module = ModuleType(path)
        setattr(module, name, value)
        monkeypatch.setitem(sys.modules, path, module)
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage", ModuleType("openlineage"))
    with DAG("a_dag", schedule=None):
        task = DeployOperator(task_id="deploy", config=config.options(tags={"a": "b"}), poll_interval_s=2)
    airflow.ti.xcom_push("return_value", airflow.run(task))
    found = task.get_openlineage_facets_on_complete(airflow.ti)

    assert [output.name for output in found.outputs] == ["recommender"]
    assert found.outputs[0].namespace.startswith("anyservice://")
    assert output_of(None, {"name": "recommender"}) is None
    assert output_of("https://console.example.com/services/x", {"service": "a"}) == (
        "anyservice://console.example.com",
        "a",
    )
