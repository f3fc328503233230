"""What this Airflow lacks is done without, and said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, BaseOperator

from airflow_provider import compat
from airflow_provider.assets import service_asset
from airflow_provider.group import progressive_deploy_group
from airflow_provider.operators import RolloutOperator

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(30)]

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "airflow.md"
PLAN = {"steps": [10], "bake": "1m", "promotion": {"timeout": "1m", "on_timeout": "promote"}}


@pytest.fixture
def oldest(monkeypatch):
    """The oldest Airflow that is supported, as far as the provider can tell."""
    compat._say.cache_clear()
    monkeypatch.setattr(compat, "VERSION", (2, 11, 2))
    yield
    compat._say.cache_clear()


def rollout(config, **options):
    with DAG("a_dag", schedule=None):
        return RolloutOperator(task_id="rollout", config=config, plan=PLAN, poll_interval_s=5, **options)


@pytest.mark.parametrize("feature", compat.LACKING, ids=lambda feature: feature.name)
def test_the_first_time_that_something_is_missed_the_log_says_what_is_lost(oldest, feature, caplog):
    """One line, once: what it is, since when there is such a thing, and what goes without it."""
    assert [compat.has(feature), compat.has(feature)] == [False, False]

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert {type(arg) for arg in caplog.records[0].args} == {str}, (
        "Airflow's log writes others in its own way"
    )
    assert caplog.records[0].getMessage() == f"Airflow 2.11.2 is without {feature}. {feature.lost}"


@pytest.mark.parametrize("feature", compat.LACKING, ids=lambda feature: feature.name)
def test_what_is_there_is_not_spoken_of(monkeypatch, feature, caplog):
    """On the Airflow that it came with, a feature is used without a word."""
    monkeypatch.setattr(compat, "VERSION", (*feature.since, 0))

    assert compat.has(feature)
    assert caplog.records == []


@pytest.mark.parametrize("feature", compat.LACKING, ids=lambda feature: feature.name)
def test_the_page_for_people_has_it_too(feature):
    """Who reads before installing finds the same list."""
    table = HOWTO.read_text().partition("## On an older Airflow")[2]

    assert f"| {feature.name} | {'.'.join(map(str, feature.since))} |" in table


def test_a_rollout_goes_without_what_is_not_there(oldest, airflow, serving, config, caplog):
    """No store, no question to people, no page: it succeeds all the same, by the plan alone."""
    report = airflow.run(rollout(config.options(tags={"a": "b"}), retry_policy=object()))
    said = [record.getMessage() for record in caplog.records if "is without" in record.getMessage()]

    assert report["outcome"] == "succeeded"
    assert airflow.store.values.keys() <= {"journal"}
    for feature in (compat.TASK_STORE, compat.QUESTIONS, compat.RETRY_POLICY):
        assert sum(feature.name in line for line in said) == 1


def test_a_group_goes_without_too(oldest, airflow, serving, config):
    """Its approval is asked of nobody: it ends as the plan says, and the parts are one rollout."""
    with DAG("a_dag", schedule=None) as dag:
        progressive_deploy_group(config.options(tags={"a": "b"}), PLAN, poll_interval_s=5)
    xcoms: dict[str, dict] = {}
    airflow.ti.xcom_pull = lambda task_ids=None, key="return_value": xcoms.get(task_ids, {}).get(key)
    for name in ("step_10", "approve_promotion", "promote"):
        task = dag.get_task(f"rollout.{name}")
        airflow.ti.xcoms = xcoms.setdefault(task.task_id, {})
        airflow.store.forget()
        result = airflow.run(task)

    assert result["outcome"] == "succeeded"
    assert len(serving.engine.specs) == 2


def test_a_choice_that_would_not_be_heard_of_is_said_before_the_worker_lets_go(
    oldest, airflow, serving, config, caplog
):
    """Who wants a rollback on a kill shall know that a deferred task is not told of one."""
    airflow.run(rollout(config.options(tags={"a": "b"}), on_kill="rollback"))

    assert compat.KILLS.lost in caplog.text


def test_a_service_is_known_by_its_address_alone(oldest, monkeypatch, caplog):
    """What a dataset of Airflow 2 does not know is left out of it."""
    from airflow.providers.common.compat import sdk

    made = []
    monkeypatch.setattr(sdk, "Asset", lambda **options: made.append(options))
    service_asset("recommender", watchers=[], group="services", extra={"a": 1})

    assert made == [{"uri": "anyservice://default/recommender", "extra": {"a": 1}}]
    assert "names, groups and watchers" in caplog.text


def test_a_time_out_is_told_from_a_broken_trigger():
    """Airflow 2 has one error for both, and tells them apart by its words only."""
    words = "Trigger timeout" if compat.VERSION >= (3,) else "Trigger/execution timeout"
    for told, late in ((words, True), ("Trigger failure", False)):
        with pytest.raises(AirflowException) as raised:
            BaseOperator(task_id="a").resume_execution("__fail__", {"error": told}, {})
        assert compat.is_late(raised.value) is late, told


@pytest.mark.skipif(compat.VERSION >= (3,), reason="Airflow 3 asks its supervisor")
def test_airflow_2_knows_the_state_of_a_task_from_its_database(database):
    """Whose turn it is, is asked of the database that workers and triggerers of Airflow 2 have at hand."""
    nobody = SimpleNamespace(dag_id="a", task_id="b", run_id="c", map_index=-1)

    assert compat.task_state(nobody) is None
