from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider.operators import DeployOperator, RollbackOperator, TerminateOperator
from anyservice_core.testing import FakePlane

pytestmark = pytest.mark.airflow

BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
QUICK = {"poll_interval_s": 2}


def deploy(config, **options):
    with DAG("a_dag", schedule=None):
        return DeployOperator(task_id="deploy", config=config, **QUICK, **options)


def applies(plane: FakePlane) -> int:
    return plane.requests.count("PUT /api/v2/services-v2/apply")


@BOTH_WAYS
def test_a_deploy_succeeds_when_its_own_version_is_at_its_weight(airflow, serving, config, deferrable):
    """A service that is RUNNING all the while, with the old version, does not end the wait."""
    result = airflow.run(deploy(config, canary_percent=10, deferrable=deferrable))

    assert result["state"] == "ROLLING_OUT"
    assert result["canary_version"]["weight"] == 10
    assert result["canary_version"]["state"] == "RUNNING"
    assert result["primary_version"]["name"] == "v1"
    assert len(airflow.deferred) == int(deferrable)


@BOTH_WAYS
def test_the_first_version_of_a_service_needs_no_canary(airflow, plane, config, deferrable):
    """A new service has nothing to be a canary beside, so the task ends when the version serves all traffic."""
    result = airflow.run(deploy(config, canary_percent=10, deferrable=deferrable))

    assert (result["state"], result["canary_version"]) == ("RUNNING", None)
    assert result["primary_version"]["weight"] == 100


def test_tasks_of_one_run_move_one_canary(airflow, serving, config):
    """Canary and promotion are two tasks with one config: the second moves what the first deployed."""
    canary = airflow.run(deploy(config, canary_percent="10"))["canary_version"]
    promoted = airflow.run(deploy(config, canary_percent=100))

    assert promoted["primary_version"]["id"] == canary["id"]
    assert promoted["canary_version"] is None


def test_a_retry_adopts_what_its_first_try_deployed(airflow, serving, config):
    """A worker that dies after the deploy costs nothing: the next try finds the version and sends no other."""
    first = airflow.run(deploy(config, canary_percent=10))
    sent = applies(serving)
    second = airflow.run(deploy(config, canary_percent=10))

    assert second == first
    assert applies(serving) == sent


def test_another_run_brings_another_version(airflow, serving, config):
    """The DAG run is part of the name, so that a nightly deploy of the same files is a deploy."""
    first = airflow.run(deploy(config))["primary_version"]["name"]
    airflow.run_id = "manual__2"
    second = airflow.run(deploy(config))["primary_version"]["name"]

    assert first != second


def test_the_users_own_version_name_is_kept(airflow, serving, config):
    """A config that names its version says what the version is called."""
    result = airflow.run(deploy(config.options(version_name="v2"), canary_percent=5))

    assert result["canary_version"]["name"] == "v2"


@BOTH_WAYS
def test_a_version_that_does_not_come_up_fails_the_task_for_good(airflow, serving, config, deferrable):
    """The plane takes the broken canary back, and the task says why instead of taking RUNNING for success."""
    wait = airflow.ready(deploy(config.options(version_name="v2"), canary_percent=10, deferrable=deferrable))
    with serving.client() as client:
        client.deploy(config.options(version_name="v2"), canary_percent=10)
    serving.break_version("v2")

    with pytest.raises(AirflowFailException, match=r"v.*rolled back.*ImportError"):
        airflow.run(wait)


@BOTH_WAYS
def test_a_wait_ends_at_its_deadline_and_leaves_the_service(airflow, serving, config, deferrable):
    """A version that takes too long fails the task; nothing is stopped or taken back for that."""
    serving.engine.start_s = 3_600.0
    slow = deploy(config, canary_percent=10, timeout_s=60, deferrable=deferrable)

    with pytest.raises(AirflowFailException, match="did not reach"):
        airflow.run(slow)
    assert serving.service("recommender").canary is not None


def test_without_waiting_success_means_that_the_deploy_was_taken(airflow, serving, config):
    """wait=False gives the worker back at once, before the version runs."""
    result = airflow.run(deploy(config, canary_percent=10, wait=False))

    assert result["canary_version"]["state"] == "STARTING"


@pytest.mark.parametrize("percent", ["110", "ten", -1, "1.5"])
def test_a_percentage_that_is_none_fails_before_anything_is_sent(airflow, serving, config, percent):
    """A template may render to anything; what is no percentage is named, and the plane hears nothing."""
    sent = len(serving.requests)
    with pytest.raises(AirflowFailException, match="canary_percent"):
        airflow.run(deploy(config, canary_percent=percent))
    assert len(serving.requests) == sent


def test_a_percentage_may_come_from_a_template(airflow, serving, config):
    """Rendered fields are texts; the number in one is taken for what it is."""
    result = airflow.run(deploy(config, canary_percent="{{ 5 * 3 }}"))

    assert result["canary_version"]["weight"] == 15


def test_a_broken_config_is_one_sentence(airflow, plane, tmp_path):
    """The user reads which field is wrong and how to mend it, and no retry is spent on it."""
    path = tmp_path / "service.yaml"
    path.write_text("name: recommender\napplications: [{import_path: main:app}]\nworking_dirr: .\n")

    with pytest.raises(AirflowFailException, match="did you mean 'working_dir'"):
        airflow.run(deploy(str(path)))


def test_a_config_file_is_rendered_and_seen_from_where_it_is(airflow, serving, tmp_path):
    """Its text may hold templates, and its relative folders are beside it, wherever the worker runs."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("app = None")
    path = tmp_path / "service.yaml"
    path.write_text(
        "name: recommender\nversion_name: 'of-{{ run_id }}'\nworking_dir: src\n"
        "applications: [{import_path: main:app}]\n"
    )

    result = airflow.run(deploy(str(path), canary_percent=10))

    assert result["canary_version"]["name"] == "of-manual__1"
    assert any("/bundles/" in request for request in serving.requests)


def test_the_link_is_there_while_the_task_is_deferred(airflow, serving, config):
    """The address is left before the worker lets go, and holds no token."""
    airflow.run(deploy(config, canary_percent=10, deferrable=True))

    assert airflow.ti.xcoms["service_url"].startswith("http://plane.test/services/service2_")
    assert "aph0_" not in str(airflow.ti.xcoms)


# ── rollback and terminate ──


def rollback(**options):
    with DAG("a_dag", schedule=None):
        return RollbackOperator(task_id="undo", service="recommender", **QUICK, **options)


@BOTH_WAYS
def test_a_rollback_gives_the_primary_all_traffic(airflow, serving, config, deferrable):
    """It waits until the canary is gone, and only then succeeds."""
    airflow.run(deploy(config, canary_percent=10))
    result = airflow.run(rollback(deferrable=deferrable))

    assert (result["primary_version"]["name"], result["canary_version"]) == ("v1", None)
    assert result["primary_version"]["weight"] == 100


@BOTH_WAYS
@pytest.mark.parametrize("in_progress", [True, False])
def test_an_undo_task_fails_so_that_its_run_does(airflow, serving, config, deferrable, in_progress):
    """Airflow judges a run by its last tasks: an undo that succeeded would paint a failed rollout green."""
    if in_progress:
        airflow.run(deploy(config, canary_percent=10))
    with pytest.raises(AirflowFailException, match="version v1 serves again"):
        airflow.run(rollback(trigger_rule="one_failed", deferrable=deferrable))
    assert serving.service("recommender").canary is None


def test_the_colour_of_an_undo_task_may_be_chosen(airflow, serving, config):
    """fail_after has the last word over the trigger rule."""
    airflow.run(deploy(config, canary_percent=10))

    assert airflow.run(rollback(trigger_rule="one_failed", fail_after=False))["canary_version"] is None


def test_nothing_to_take_back_is_said_and_fine(airflow, serving, caplog):
    """A rollback without a rollout changes nothing, and the log says so."""
    with caplog.at_level("INFO"):
        airflow.run(rollback())

    assert "no rollout is in progress" in caplog.text
    assert not [request for request in serving.requests if request.endswith("/rollback")]


def test_nothing_to_take_back_fails_where_that_was_asked_for(airflow, serving):
    """must_exist turns the missing rollout into an error."""
    with pytest.raises(AirflowFailException, match="no rollout is in progress"):
        airflow.run(rollback(must_exist=True))


def test_a_strangers_canary_is_left_alone(airflow, serving, config):
    """With a version given, no other one is taken back."""
    airflow.run(deploy(config.options(version_name="theirs"), canary_percent=10))
    result = airflow.run(rollback(version="mine"))

    assert result["canary_version"]["name"] == "theirs"


def test_terminate_waits_until_nothing_runs(airflow, serving):
    """It is the one task that stops a service."""
    with DAG("a_dag", schedule=None):
        operator = TerminateOperator(task_id="stop", service="recommender", deferrable=True, **QUICK)

    assert airflow.run(operator)["state"] == "TERMINATED"


def test_a_wrong_name_fails_for_good(airflow, serving):
    """A service that does not exist will not appear by retrying."""
    with DAG("a_dag", schedule=None):
        operator = TerminateOperator(task_id="stop", service="recommendar", **QUICK)
    with pytest.raises(AirflowFailException, match="recommendar"):
        airflow.run(operator)


# ── kills ──


@pytest.mark.parametrize(("choice", "left"), [("leave", True), ("rollback", False)])
def test_killing_the_worker_never_stops_the_service(airflow, serving, config, choice, left):
    """By default the canary stays where it is; taking it back is a choice."""
    operator = airflow.ready(deploy(config, canary_percent=10, on_kill=choice, deferrable=False))
    operator.execute(airflow.context)
    operator.on_kill()
    serving.advance(60)

    service = serving.service("recommender")
    assert (service.canary is not None) is left
    assert service.primary.name == "v1"
    assert service.state == ("ROLLING_OUT" if left else "RUNNING")
