"""The whole of Airflow and a whole plane: what becomes of rollouts when processes die and people step in."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from anyservice_core import Client, ServiceConfig
from tests.airflow.standalone import APP, Standalone, free_port

pytestmark = [pytest.mark.airflow_e2e, pytest.mark.real, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def airflow(tmp_path_factory) -> Any:
    from anyservice_core.plane import control, daemon

    airflow = Standalone(tmp_path_factory.mktemp("e2e"))
    ports = min(free_port(), 60000)
    settings = daemon.PlaneSettings(
        state_dir=airflow.state, port=free_port(), engine="process", first_service_port=ports
    )
    previous = os.environ.get("ANYSERVICE_STATE_DIR")
    os.environ["ANYSERVICE_STATE_DIR"] = str(airflow.state)
    control.spawn(settings, timeout_s=90)
    airflow.plane_settings = settings
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()
        control.down(airflow.state)
        os.environ.pop("ANYSERVICE_STATE_DIR")
        if previous is not None:
            os.environ["ANYSERVICE_STATE_DIR"] = previous


@pytest.fixture
def files(airflow, tmp_path):
    """A service with its first version serving, a second version on disk, and a plan: their paths."""

    def make(name: str, plan: str = "{steps: [10]}", *, bad: bool = False) -> dict[str, str]:
        folder = tmp_path / name
        (folder / "app").mkdir(parents=True)
        config = folder / "service.yaml"
        config.write_text(f"name: {name}\nworking_dir: app\napplications: [{{import_path: main:app}}]\n")
        (folder / "app" / "main.py").write_text(APP.format(name="first", turns_bad=""))
        with Client("local") as client:
            client.deploy(ServiceConfig.from_yaml(config, base=folder))
            client.wait(name, timeout_s=120)
        (folder / "app" / "main.py").write_text(
            "import a_module_that_is_not_there"
            if bad
            else APP.format(name="second", turns_bad=str(folder / "bad"))
        )
        (folder / "plan.yaml").write_text(f"rollout: {plan}\n")
        return {"config": str(config), "plan": str(folder / "plan.yaml")}

    return make


def status(name: str) -> Any:
    with Client("local") as client:
        return client.status(name)


def versions(name: str) -> int:
    """How many versions the plane was ever asked to deploy."""
    import sqlite3

    path = Path(os.environ["ANYSERVICE_STATE_DIR"]) / "plane.db"
    of_service = "service_id = (select id from services where name = ?) and version_id is not null"
    with contextlib.closing(sqlite3.connect(path)) as store:
        rows = store.execute(f"select count(distinct version_id) from events where {of_service}", [name])
        return int(rows.fetchone()[0])


def deferred(airflow, run: str, weight: int, name: str) -> None:
    """Wait until the task is deferred and its canary is at ``weight``."""
    airflow.until(lambda: airflow.task(run)["state"] == "deferred", 200)
    airflow.until(lambda: (canary := status(name).canary_version) and canary.weight == weight, 200)


def test_a_rollout_succeeds_and_shows_itself(airflow, files):
    """Each step is in the log, the buttons lead somewhere, and whoever waits for the service is told."""
    run = airflow.trigger("roll_leave", **files("good", "{steps: [10, 50], bake: 4s}"))
    deferred(airflow, run, 10, "good")
    links = airflow.get(f"{run}/taskInstances/rollout/links")["extra_links"]
    assert "under way" in airflow.call("GET", links["Rollout"])
    assert links["Service"].startswith("http")

    assert airflow.ended(run) == "success"
    log = airflow.log(run)
    for line in ("a canary at 10 %", "weight 50 % seen", "it serves all traffic"):
        assert line in log
    assert "<title>good: succeeded</title>" in airflow.call("GET", links["Rollout"])
    events = airflow.get("assets/events?source_dag_id=roll_leave")["asset_events"]
    assert any(event["extra"].get("verdict") == "succeeded" for event in events)


def test_a_bad_canary_is_taken_back_and_the_run_is_red(airflow, files):
    """The version that served before serves on, and no retry brings the bad one again."""
    run = airflow.trigger(
        "roll_leave", **files("bad", "{steps: [10], bake: 4s, progress_deadline: 40s}", bad=True)
    )

    assert airflow.ended(run) == "failed"
    assert airflow.task(run)["try_number"] == 1
    assert status("bad").canary_version is None
    assert status("bad").state == "RUNNING"


def test_a_triggerer_that_is_killed_costs_no_second_deploy(airflow, files):
    """SIGKILL in the middle of a bake: the next triggerer goes on with the same canary, with what it has baked."""
    run = airflow.trigger("roll_leave", **files("orphan", "{steps: [10, 50], bake: 15s}"))
    deferred(airflow, run, 50, "orphan")
    killed = list(airflow.processes("triggerer"))
    assert killed
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    airflow.spawn("triggerer")  # `standalone` does not start its parts anew

    assert airflow.ended(run, 400) == "success"
    assert versions("orphan") == 2
    assert airflow.task(run)["try_number"] == 1


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        ("deferred", "before the first save"),
        ("deferred", "before the deferral"),
        ("blocking", "at 50 %"),
    ],
)
def test_a_worker_that_is_killed_costs_no_second_deploy(airflow, files, how, moment):
    """SIGKILL after the deploy was accepted: the retry finds the canary, whether or not the first try had noted it."""
    name = f"killed-{how}-{moment.split()[-1].strip('%') or 'half'}"
    run = airflow.trigger(f"held_{how}", moment=moment, **files(name, "{steps: [10, 50], bake: 3s}"))
    os.kill(airflow.held(), signal.SIGKILL)

    assert airflow.ended(run) == "success"
    assert versions(name) == 2
    assert airflow.task(run)["try_number"] == 2


def test_a_machine_that_dies_costs_no_second_deploy(airflow, files):
    """Its worker is gone with its task, and nobody says so; Airflow misses the heartbeats and tries again."""
    run = airflow.trigger(
        "held_deferred", moment="before the deferral", **files("lost", "{steps: [10, 50], bake: 3s}")
    )
    task = airflow.held()
    worker = int(Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[1])
    assert os.getsid(worker) == airflow.process.pid
    os.kill(worker, signal.SIGKILL)
    os.kill(task, signal.SIGKILL)

    assert airflow.ended(run, 400) == "success"
    assert versions("lost") == 2
    assert airflow.task(run)["try_number"] == 2


@pytest.mark.parametrize("choice", ["leave", "rollback"])
@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_mark_acts_by_what_the_person_meant(airflow, files, choice, state):
    """Marked failed, the canary goes back where that was chosen; marked success it is left, whatever was chosen."""
    name = f"marked-{choice}-{state}"
    run = airflow.trigger(f"roll_{choice}", **files(name, "{steps: [10], bake: 10m}"))
    deferred(airflow, run, 10, name)
    airflow.call("PATCH", f"{run}/taskInstances/rollout", {"new_state": state})
    if (choice, state) == ("rollback", "failed"):
        airflow.until(lambda: status(name).canary_version is None, 90)
        return
    assert airflow.ended(run) == state
    assert status(name).canary_version.weight == 10


def test_a_cleared_task_goes_on_with_its_canary(airflow, files):
    """Cleared in the middle of a bake: another try, the same version."""
    run = airflow.trigger("roll_rollback", **files("cleared", "{steps: [10], bake: 20s}"))
    deferred(airflow, run, 10, "cleared")
    dag, run_id = run.split("/")[1], run.split("/")[3]
    body = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["rollout"], "only_failed": False}
    airflow.call(
        "POST", f"dags/{dag}/clearTaskInstances", {**body, "reset_dag_runs": True, "only_running": False}
    )

    assert airflow.ended(run) == "success"
    assert versions("cleared") == 2


@pytest.mark.parametrize(("choice", "end"), [("Approve", "success"), ("Roll back", "failed")])
def test_people_answer_where_they_are(airflow, files, choice, end):
    """The gate is a required action of the deferred task; the answer over REST goes on or back."""
    name = f"asked-{end}"
    run = airflow.trigger("roll_leave", **files(name, "{steps: [10], bake: 2s, promotion: {timeout: 1h}}"))
    action = f"{run}/taskInstances/rollout/-1/hitlDetails"
    airflow.until(lambda: name in str(airflow.get(f"{run}/hitlDetails")), 300)
    airflow.until(lambda: airflow.task(run)["state"] == "deferred" and airflow.at_rest(run), 100)
    airflow.call("PATCH", action, {"chosen_options": [choice], "params_input": {}})

    assert airflow.ended(run) == end
    assert (status(name).canary_version is None) is True
    assert versions(name) == 2


def asked(airflow, files, word):
    """A group that has come to its question, which is among the required actions."""
    given = files(f"grouped-{word}")
    run, approve = airflow.trigger(f"steps_{word}", **given), "rollout.approve_promotion"
    airflow.until(lambda: open_questions(airflow, run) == [approve] and airflow.at_rest(run, approve), 400)
    assert status(f"grouped-{word}").canary_version.weight == 50
    return run, approve, Path(given["config"]).parent


def open_questions(airflow, run):
    """The tasks of a run that wait for people, as the UI asks for them."""
    found = airflow.get(f"{run}/hitlDetails?response_received=false&state=deferred&state=awaiting_input")
    return [one["task_instance"]["task_id"] for one in found["hitl_details"]]


@pytest.mark.parametrize(
    ("word", "choice", "end"), [("yes", "Approve", "success"), ("no", "Roll back", "failed")]
)
def test_a_group_asks_in_tasks_of_its_own(airflow, files, word, choice, end):
    """Each step is a task of the grid; a "no" takes the canary back, and the run is red."""
    run, approve, _ = asked(airflow, files, word)
    action = f"{run}/taskInstances/{approve}/-1/hitlDetails"
    airflow.call("PATCH", action, {"chosen_options": [choice], "params_input": {}})

    assert airflow.ended(run) == end
    assert status(f"grouped-{word}").canary_version is None
    assert airflow.task(run, "rollout.undo")["state"] == ("failed" if word == "no" else "skipped")
    assert versions(f"grouped-{word}") == 2


def test_a_canary_that_turns_bad_while_people_think_is_taken_back(airflow, files):
    """The task that has asked fails with the reason, its question is no longer open, and the run is red."""
    run, approve, folder = asked(airflow, files, "bad")
    (folder / "bad").touch()

    assert airflow.ended(run) == "failed"
    assert status("grouped-bad").canary_version is None
    assert airflow.task(run, approve)["state"] == "failed"
    assert "rolled back: answers" in airflow.log(run, approve)
    assert open_questions(airflow, run) == []


def test_a_deadline_takes_the_canary_back(airflow, files):
    """A run that is late is undone from the triggerer, and the rollout says so instead of calling RUNNING a success."""
    run = airflow.trigger("late", **files("late", "{steps: [10], bake: 10m}"))

    assert airflow.ended(run, 400) == "failed"
    assert status("late").canary_version is None


def test_a_plane_that_restarts_in_mid_bake_is_waited_for(airflow, files):
    """The rollout bears with its silence, and goes on with the canary that never stopped serving."""
    from anyservice_core.plane import control

    run = airflow.trigger("roll_leave", **files("patient", "{steps: [10], bake: 15s}"))
    deferred(airflow, run, 10, "patient")
    os.kill(control.read_record(airflow.state)["pid"], signal.SIGKILL)
    control.spawn(airflow.plane_settings, timeout_s=90)

    assert airflow.ended(run) == "success"
    assert versions("patient") == 2
