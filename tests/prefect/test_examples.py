"""The examples as a person runs them: scripts in processes of their own, on a real plane."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.settings import PREFECT_API_URL
from prefect.states import AwaitingRetry, Cancelling

from anyservice_core import Client, ServiceStatus
from anyservice_core.plane import control, daemon
from tests.asgi import HELLO

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("prefect_server"),
]

EXAMPLES = Path(__file__).parents[2] / "dags_examples"


def environment(state_dir: Path) -> dict[str, str]:
    """What processes beside this one need to find the plane and Prefect, and to look for work more than once in 10 s."""
    plane = {"ANYSERVICE_HOST": "local", "ANYSERVICE_STATE_DIR": str(state_dir)}
    prefect = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    return {**os.environ, **plane, **prefect}


@dataclass
class Stage:
    """A real plane with a service on it, and a folder with what to roll out next."""

    folder: Path
    state_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.state_dir)

    def client(self) -> Client:
        record = control.read_record(self.state_dir) or {}
        return Client(record["host"], record["token"])

    def status(self) -> ServiceStatus:
        with self.client() as client:
            return client.status("hello")

    def write(self, version: str, code: str = HELLO, *, bake: str = "1s") -> tuple[str, str]:
        """Give the paths of a config and a plan for this version."""
        app, config, plan = (
            self.folder / version,
            self.folder / "service.yaml",
            self.folder / "rollout.yaml",
        )
        app.mkdir()
        (app / "main.py").write_text(f"# {version}\n{code}")
        config.write_text(
            f"{{name: hello, version_name: {version}, working_dir: {app}, applications: [{{import_path: 'main:app'}}]}}"
        )
        plan.write_text(f"rollout: {{steps: [50], bake: {bake}, progress_deadline: 60s}}")
        return str(config), str(plan)


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    state_dir = tmp_path_factory.mktemp("plane")
    control.spawn(
        daemon.PlaneSettings(
            state_dir=state_dir, port=0, engine="process", first_service_port=18900, ladder_hold_s=0.3
        )
    )
    yield state_dir
    control.down(state_dir)


@pytest.fixture
def stage(state_dir: Path, tmp_path: Path) -> Stage:
    stage = Stage(tmp_path, state_dir)
    config, _ = stage.write("v1")
    with stage.client() as client:
        client.deploy(config, canary_percent=100)
        client.wait("hello", version="v1", poll_interval_s=0.2)
    return stage


def run_digits(stage: Stage, *paths: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / "digits_rollout_flow.py"), *paths]
    return subprocess.run(command, env=stage.environment, capture_output=True, text=True, timeout=200)


def test_a_script_ends_well_when_it_promoted(stage: Stage) -> None:
    """The example brings a good version to all traffic, tells each event, and ends with 0."""
    done = run_digits(stage, *stage.write("v2"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "hello: succeeded: it serves all traffic"
    assert "hello: weight 50 % seen, baking 1s" in done.stderr
    primary = stage.status().primary_version
    assert primary is not None
    assert primary.name.startswith("v2-")


def test_a_script_ends_with_one_clear_line_when_the_version_was_taken_back(stage: Stage) -> None:
    """A version that cannot start is taken back; the exit code says so and the text why, without a traceback."""
    done = run_digits(stage, *stage.write("v3", "import nothing_of_this_name"))
    assert done.returncode == 10, done.stderr
    assert "nothing_of_this_name" in done.stdout
    assert len(done.stdout.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert stage.status().canary_version is None


def test_a_script_names_a_file_that_is_not_there(stage: Stage) -> None:
    """Bad input is one line and the exit code of bad input."""
    done = run_digits(stage, str(stage.folder / "nothing.yaml"), str(stage.folder / "nothing.yaml"))
    assert done.returncode == 2, done.stderr
    assert "nothing.yaml" in done.stdout
    assert "Traceback" not in done.stderr


# ── served, as on a schedule ────────────────────────────────────────────────

SERVE = "from prefect_tasks import progressive_deploy; progressive_deploy.serve(name='served')"


@dataclass(frozen=True)
class Served:
    """A deployment, and the process that executes its runs in processes of their own."""

    deployment: UUID
    runner: int


@pytest.fixture(scope="module")
def served(
    state_dir: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: None
) -> Iterator[Served]:
    """The flow as a deployment; it takes half a minute to be there, so all tests have the same."""
    folder = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-c", SERVE]
    with (folder / "serve.log").open("w") as log:
        runner = subprocess.Popen(
            command, env=environment(state_dir), stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
        try:
            yield Served(until(lambda: _deployment("served"), "the deployment"), runner.pid)
        finally:
            runner.terminate()
            runner.wait(timeout=60)


def _deployment(name: str) -> UUID | None:
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/deployments/filter", json={}).json()
    return next((UUID(one["id"]) for one in found if one["name"] == name), None)


def until(look: Callable[[], Any], what: str, *, within_s: float = 120.0) -> Any:
    """What ``look`` gives once it gives something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {within_s:g} s in vain for {what}")


def test_a_cancelled_run_leaves_the_service_and_says_how_to_go_on(stage: Stage, served: Served) -> None:
    """Cancelled in mid-bake by the API, a served run ends, the canary stays, and the log says what to do."""
    config, plan = stage.write("v4", bake="10m")
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(
            served.deployment, parameters={"config": config, "plan": plan}
        )
        until(lambda: (canary := stage.status().canary_version) and canary.weight == 50, "the canary at 50 %")
        client.set_flow_run_state(run.id, Cancelling(), force=True)
        until(
            lambda: (state := client.read_flow_run(run.id).state) and state.is_cancelled(), "the cancellation"
        )
        logs = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
        resume = "Run the same rollout again"
        until(lambda: any(resume in log.message for log in client.read_logs(logs)), "the line in the log")
    canary = stage.status().canary_version
    assert canary is not None
    assert canary.weight == 50
    with stage.client() as client:
        client.rollback("hello")


def test_a_cancelled_run_takes_the_canary_back_where_that_was_chosen(stage: Stage, served: Served) -> None:
    """With `on_kill` the same cancellation ends with all the traffic on the version before."""
    config, plan = stage.write("v5", bake="10m")
    parameters = {"config": config, "plan": plan, "on_kill": "rollback"}
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(served.deployment, parameters=parameters)
        until(lambda: (canary := stage.status().canary_version) and canary.weight == 50, "the canary at 50 %")
        client.set_flow_run_state(run.id, Cancelling(), force=True)
        until(lambda: stage.status().canary_version is None, "the way back")
        until(
            lambda: (state := client.read_flow_run(run.id).state) and state.is_cancelled(), "the cancellation"
        )
    assert stage.status().state == "RUNNING"


def suspended(client: Any, run: Any) -> bool:
    state = client.read_flow_run(run.id).state
    assert state is None or not state.is_final(), state
    return state is not None and state.name == "Suspended"


def ended(client: Any, run: Any) -> Any:
    state = client.read_flow_run(run.id).state
    return state if state is not None and state.is_final() else None


def test_a_suspended_run_goes_on_with_the_answer_in_another_process(stage: Stage, served: Served) -> None:
    """No process waits for the yes; the one that comes with it adopts the canary, and there is one deploy in all."""
    config, _ = stage.write("v6")
    plan = {"steps": [50], "bake": "1s", "promotion": True}
    parameters = {"config": config, "plan": plan, "gates": "suspend"}
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(served.deployment, parameters=parameters)
        until(lambda: suspended(client, run), "the question")
        canary = stage.status().canary_version
        client.resume_flow_run(run.id, {"decision": "approve", "by": "ann"})
        state = until(lambda: ended(client, run), "the promotion")
    assert state.is_completed(), state
    primary = stage.status().primary_version
    assert canary is not None
    assert primary is not None
    assert primary.id == canary.id


def test_a_suspended_run_that_nobody_answers_is_woken_and_ends_as_the_plan_says(
    stage: Stage, served: Served
) -> None:
    """An alarm, a run of the same deployment, resumes it when its time is up; then the canary is taken back."""
    config, _ = stage.write("v7")
    gate = {"timeout": "5s", "on_timeout": "rollback"}
    parameters = {
        "config": config,
        "plan": {"steps": [50], "bake": "1s", "promotion": gate},
        "gates": "suspend",
    }
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(served.deployment, parameters=parameters)
        until(lambda: suspended(client, run), "the question")
        state = until(lambda: ended(client, run), "the end")
    assert state.is_failed()
    assert "nobody approved" in str(state.message)
    assert stage.status().canary_version is None


def process_of_run(runner: int) -> int | None:
    """The process that executes a flow run: below the runner, and started as Prefect starts one."""
    for folder in Path("/proc").iterdir():
        try:
            parent = (
                int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if folder.name.isdigit()
                else 0
            )
            command = (folder / "cmdline").read_bytes() if parent == runner else b""
        except OSError:
            continue
        if b"spawn_main" in command or b"engine" in command:
            return int(folder.name)
    return None


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the process by /proc")
def test_a_killed_run_that_is_retried_goes_on_with_its_canary(stage: Stage, served: Served) -> None:
    """After a SIGKILL the retry takes the slot of its dead try, adopts the canary and promotes it: one deploy in all."""
    config, plan = stage.write("v8", bake="10s")
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(
            served.deployment, parameters={"config": config, "plan": plan}
        )
        until(lambda: (canary := stage.status().canary_version) and canary.weight == 50, "the canary at 50 %")
        canary = stage.status().canary_version
        os.kill(until(lambda: process_of_run(served.runner), "the process"), signal.SIGKILL)
        until(lambda: (state := client.read_flow_run(run.id).state) and state.is_crashed(), "the crash")
        assert stage.status().canary_version == canary
        client.set_flow_run_state(run.id, AwaitingRetry(scheduled_time=datetime.now(UTC)), force=True)
        state = until(lambda: ended(client, run), "the promotion", within_s=200.0)
    assert state.is_completed(), state
    primary = stage.status().primary_version
    assert canary is not None
    assert primary is not None
    assert primary.id == canary.id
