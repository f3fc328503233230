"""Whole DAG runs, in Airflow itself, on a real plane with real processes."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from anyservice_core import Client, ServiceConfig
from tests.airflow.conftest import read_dags
from tests.asgi import HELLO

pytestmark = [pytest.mark.airflow, pytest.mark.real, pytest.mark.timeout(400)]
needs_airflow = pytest.mark.needs_airflow

EXAMPLES = Path(__file__).parents[2] / "dags_examples"
BAD = "import a_module_that_is_not_there"


@pytest.fixture(scope="module")
def dags(database) -> Path:
    """Airflow's folder of DAGs, with the examples in it; and its tables."""
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("demo", "__pycache__", "*flow*.py"))
    return folder


@pytest.fixture
def real_plane(tmp_path, monkeypatch):
    """A plane on this machine, found by a connection whose host is ``local``."""
    from anyservice_core.plane import control, daemon

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        ports = min(probe.getsockname()[1], 64000)
    state = tmp_path / "state"
    connection = {"conn_type": "anyservice", "host": "local"}
    monkeypatch.setenv("ANYSERVICE_STATE_DIR", str(state))
    monkeypatch.setenv("AIRFLOW_CONN_ANYSERVICE_DEFAULT", json.dumps(connection))
    settings = daemon.PlaneSettings(state_dir=state, port=0, engine="process", first_service_port=ports)
    control.spawn(settings, timeout_s=50)
    yield
    control.down(state)


def write(folder: Path, name: str, code: str) -> Path:
    """Write an application and its config; give the config's path."""
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "main.py").write_text(code)
    path = folder / "service.yaml"
    path.write_text(f"name: {name}\nworking_dir: app\napplications: [{{import_path: main:app}}]\n")
    return path


def deploy_first(path: Path) -> str:
    config = ServiceConfig.from_yaml(path, base=path.parent)
    with Client("local") as client:
        client.deploy(config)
        return client.wait(config.name, timeout_s=120).primary_version.name


def test_the_digits_example_rolls_out(dags, real_plane, tmp_path, monkeypatch, caplog):
    """Deferred, by a trigger, step by step; each step is a line of the log, and the run is a success."""
    config = write(tmp_path, "digits", HELLO)
    first = deploy_first(config)
    (tmp_path / "plan.yaml").write_text("rollout: {steps: [10, 50], bake: 1s}\n")
    write(tmp_path, "digits", HELLO + "# second\n")
    monkeypatch.setenv("DIGITS_CONFIG", str(config))
    monkeypatch.setenv("DIGITS_PLAN", str(tmp_path / "plan.yaml"))
    caplog.set_level("INFO", "airflow_provider")

    run = read_dag(dags / "digits_rollout_dag.py").test()

    log = caplog.text
    assert run.state == "success"
    for step in (
        "a canary at 10 %",
        "weight 50 % seen",
        "promoting it to all traffic",
        "it serves all traffic",
    ):
        assert step in log
    with Client("local") as client:
        assert client.status("digits").primary_version.name != first


def test_a_run_whose_canary_was_taken_back_is_red(dags, real_plane, caplog, capsys):
    """The canary does not come up, the undo task sees to it that nothing is left of it, and the run fails."""
    service = dags / "recommender"
    write(service, "recommender", HELLO)
    first = deploy_first(service / "service.yaml")
    write(service, "recommender", BAD)
    caplog.set_level("INFO", "airflow_provider")

    run = read_dag(dags / "composed_canary.py").test()

    log = caplog.text + capsys.readouterr().out
    assert "a_module_that_is_not_there" in log
    assert f"version {first} serves again" in log
    states = {ti.task_id: ti.state for ti in run.get_task_instances()}
    assert (run.state, states["canary"], states["undo"]) == ("failed", "failed", "failed")
    assert states["promote"] == "upstream_failed"
    with Client("local") as client:
        status = client.status("recommender")
    assert (status.primary_version.name, status.canary_version) == (first, None)


@pytest.fixture
def recommender(dags, real_plane):
    """The examples' service: its first version serves, a second is on disk, and a plan that is done in seconds."""
    folder = dags / "recommender"
    path = write(folder, "recommender", HELLO)
    first = deploy_first(path)
    write(folder, "recommender", HELLO + "# second\n")
    (folder / "main.py").write_text(HELLO)  # what an example takes that names the folder itself
    (folder / "rollout.yaml").write_text("rollout: {steps: [10], bake: 1s}\n")
    return first


@pytest.mark.parametrize(
    "name",
    [
        "nightly_rollout",
        "composed_canary",
        "approval_gate",
        pytest.param("model_asset", marks=needs_airflow(3, 0)),
    ],
)
def test_an_example_brings_the_second_version(dags, recommender, name):
    """Run as it stands, save for the length of its bakes; a person's yes is taken as given."""
    run = read_dag(dags / f"{name}.py", "deploy_model" if name == "model_asset" else None).test(
        mark_success_pattern=r".*approve_.*"
    )

    assert run.state == "success"
    with Client("local") as client:
        status = client.status("recommender")
    assert status.primary_version.name != recommender
    assert status.canary_version is None


@needs_airflow(3, 0)
def test_a_training_tells_that_there_is_a_new_model(dags):
    """Its event carries the address of the model, which the DAG that is scheduled by it deploys."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    run = read_dag(dags / "model_asset.py", "train_recommender").test()

    assert run.state == "success"
    with create_session() as session:
        told = [event.extra for event in session.query(AssetEvent).filter_by(source_run_id=run.run_id)]
    assert [extra["address"].startswith("s3://models/recommender/") for extra in told] == [True]


def test_a_release_of_two_services_has_a_barrier(dags, recommender, caplog):
    """Both are promoted after both canaries hold; the second service is new and comes up whole."""
    run = read_dag(dags / "release_train.py").test()

    assert run.state == "success"
    states = {ti.task_id: ti.state for ti in run.get_task_instances()}
    assert states["barrier"] == states["promote_recommender"] == states["promote_ranker"] == "success"
    assert states["undo_ranker"] == "skipped"
    with Client("local") as client:
        assert client.status("recommender").primary_version.name != recommender


def test_a_rollout_waits_for_its_window(dags, recommender, caplog):
    """The plan of the example holds it outside of office hours; with a window that is open it goes on."""
    dag = read_dag(dags / "freeze_windows.py")
    task = dag.get_task("rollout")
    task.plan = {"steps": [10], "windows": [{"kind": "allow", "schedule": "* * * * *", "duration": "1h"}]}

    assert dag.test().state == "success"


def test_a_rollback_by_hand_takes_what_its_form_says(dags, recommender):
    """The canary goes if it is the version that was named; with nothing to take back the run is red."""
    config = ServiceConfig.from_yaml(
        dags / "recommender" / "service.yaml", base=dags / "recommender"
    ).options(version_name="second")
    with Client("local") as client:
        client.deploy(config, canary_percent=10)
        client.wait("recommender", version="second", canary_weight=10, timeout_s=120)
    by_hand = read_dag(dags / "step_in.py", "rollback_by_hand")

    assert by_hand.test(run_conf={"service": "recommender", "version": "third"}).state == "failed"
    assert by_hand.test(run_conf={"service": "recommender", "version": "second"}).state == "success"
    with Client("local") as client:
        assert client.status("recommender").canary_version is None


def test_an_order_by_hand_is_put_into_the_mailbox(dags):
    """Who has triggered the run, what they want and why."""
    from airflow.models.variable import Variable  # outside of a task: what is in the database

    from airflow_provider.orders import mailbox_of

    run = read_dag(dags / "step_in.py", "step_in").test(run_conf={"order": "abort", "reason": "wrong model"})

    assert run.state == "success"
    order = json.loads(Variable.get(mailbox_of("recommender")))[-1]
    assert (order["kind"], order["reason"]) == ("abort", "wrong model")


def read_dag(path: Path, dag_id: str | None = None):
    bag = read_dags(path, path.parent)
    assert bag.import_errors == {}
    return bag.dags[dag_id or path.stem] if dag_id or path.stem in bag.dags else next(iter(bag.dags.values()))
