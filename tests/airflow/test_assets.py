from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider.assets import service_asset, stable_version
from airflow_provider.compat import ASSET_STORE, supported
from airflow_provider.operators import DeployOperator, RolloutOperator

pytestmark = pytest.mark.airflow

RECOMMENDER = service_asset("recommender", place="prod")


class Event:
    extra = None


class Kept:
    """Stands for the state store of one asset."""

    def __init__(self):
        self.values = {}

    def set(self, key, value):
        self.values[key] = value

    def get(self, key):
        return self.values.get(key)


@pytest.fixture
def told(airflow):
    """What a task has told of its outlets."""
    airflow.more = {"outlet_events": {RECOMMENDER: Event()}, "asset_state_store": {RECOMMENDER: Kept()}}
    return airflow.more


def make(operator, config, **options):
    with DAG("a_dag", schedule=None):
        outlets = [RECOMMENDER, Asset("another")]
        return operator(task_id="t", config=config, outlets=outlets, poll_interval_s=2, **options)


def test_a_service_is_an_asset_by_a_name_of_ones_own_for_its_place():
    """Two services of one name are two assets where their places differ."""
    assert RECOMMENDER.uri == "anyservice://prod/recommender"
    assert service_asset("recommender", place="Staging").uri == "anyservice://staging/recommender"
    assert service_asset("recommender") != RECOMMENDER


@pytest.mark.parametrize(
    "uri",
    ["anyservice://prod/", "anyservice:///recommender", "anyservice://prod/a/b", "anyservice://prod/a?x=1"],
)
@pytest.mark.needs_airflow(3, 0)
def test_a_uri_that_names_no_service_is_told_when_the_dag_is_read(uri):
    """It would never match anything, so it is an error of the DAG."""
    with pytest.raises(ValueError, match="names no service"):
        Asset("x", uri)


def test_a_name_that_is_no_services_is_refused_by_every_airflow():
    """Airflow 2 only warns of a URI."""
    with pytest.raises(ValueError, match="names no service"):
        service_asset("a/b")


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
def test_a_rollout_tells_of_its_version(airflow, serving, told, config, deferrable):
    """Whoever is scheduled by the service learns which version serves, where, and how that came about."""
    report = airflow.run(make(RolloutOperator, config, plan={"steps": [10]}, deferrable=deferrable))
    extra = told["outlet_events"][RECOMMENDER].extra

    assert extra["version"] == report["version_name"]
    assert (extra["weight"], extra["verdict"]) == (100, "succeeded")
    assert extra["url"].startswith("http")
    assert stable_version(told, RECOMMENDER) == (extra if supported(ASSET_STORE) else None)


@pytest.mark.needs_airflow(3, 3)
def test_a_canary_is_told_and_is_no_stable_version(airflow, serving, told, config):
    """The stable version is the one with all traffic: that of the last task that left it so."""
    airflow.run(make(DeployOperator, config, canary_percent=10))
    assert told["outlet_events"][RECOMMENDER].extra["weight"] == 10
    assert stable_version(told, RECOMMENDER) is None

    airflow.run(make(DeployOperator, config, canary_percent=100))
    assert stable_version(told, RECOMMENDER)["weight"] == 100


def test_without_such_memory_it_goes_all_the_same(airflow, serving, config):
    """Airflow 2 has neither, and the rollout is what counts."""
    assert airflow.run(make(DeployOperator, config))["state"] == "RUNNING"
    assert stable_version({}, RECOMMENDER) is None
