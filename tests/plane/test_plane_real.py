"""The whole plane for real: hosts, router, traffic, and its own death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from anyservice_core.errors import ConflictError, PlaneError, WaitFailedError
from anyservice_core.models.enums import ServiceState
from anyservice_core.plane import control, daemon
from anyservice_core.plane.engines.procfs import stats
from anyservice_core.plane.engines.spawn import reap
from anyservice_core.plane.run_dir import run_dir

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

ENGINES = ["process", pytest.param("ray", marks=pytest.mark.ray)]


def children_of(state_dir) -> list[str]:
    """List processes that mention the state directory or its sockets on their command line or environment."""
    marks = (str(state_dir).encode(), run_dir(state_dir).name.encode())
    found = []
    for stat in stats():
        try:
            command = Path(f"/proc/{stat.pid}/cmdline").read_bytes()
        except OSError:
            continue
        if any(mark in command for mark in marks):
            found.append(f"{stat.pid} {command[:120]!r}")
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_a_whole_rollout_drops_no_request(make_plane, loading, tmp_path, engine):
    """v1 -> v2 at 10, 50 and 100 under steady load: not one request fails, both weights are seen, nothing is left."""
    plane = make_plane(engine)
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1"))
        status = client.wait("svc", timeout_s=150, poll_interval_s=0.2)
        with loading(status.query_url, status.query_auth_token) as load:
            load.wait_for("v1", 20)
            two = plane.config(tmp_path, "v2")
            client.deploy(two, canary_percent=10)
            client.wait(
                "svc", state="ROLLING_OUT", version="v2", canary_weight=10, timeout_s=150, poll_interval_s=0.2
            )
            load.wait_for("v2", 5)
            client.shift("svc", canary_percent=50)
            client.wait(
                "svc", state="ROLLING_OUT", version="v2", canary_weight=50, timeout_s=30, poll_interval_s=0.2
            )
            load.wait_for("v2", 20)
            client.shift("svc", canary_percent=100)
            status = client.wait("svc", version="v2", timeout_s=60, poll_interval_s=0.2)
            before = load.answers["v1"]
            load.wait_for("v2", 40)
        assert load.failures == []
        assert load.answers["v1"] == before
        assert status.primary_version.name == "v2"
        client.terminate("svc")
        client.wait("svc", state="TERMINATED", timeout_s=60, poll_interval_s=0.2)
    sockets = run_dir(plane.state_dir)
    assert sockets.is_dir()
    plane.down()
    assert children_of(plane.state_dir) == []
    assert not sockets.exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_plane_may_die_in_mid_rollout(make_plane, loading, tmp_path, engine):
    """After SIGKILL the service serves on; the next plane adopts both versions and the rollout goes on."""
    plane = make_plane(engine)
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1"))
        status = client.wait("svc", timeout_s=150, poll_interval_s=0.2)
        two = plane.config(tmp_path, "v2")
        client.deploy(two, canary_percent=50)
        client.wait(
            "svc", state="ROLLING_OUT", version="v2", canary_weight=50, timeout_s=150, poll_interval_s=0.2
        )
    with loading(status.query_url, status.query_auth_token) as load:
        load.wait_for("v2", 5)
        plane.kill()
        load.wait_for("v1", 20)
        load.wait_for("v2", 20)
        plane.up()
        with plane.client() as client:
            found = client.status("svc")
            assert (found.state, found.canary_version.name) == (ServiceState.ROLLING_OUT, "v2")
            client.shift("svc", canary_percent=100)
            client.wait("svc", version="v2", timeout_s=60, poll_interval_s=0.2)
        load.wait_for("v2", 20)
    assert load.failures == []
    plane.down()
    assert children_of(plane.state_dir) == []


def test_a_canary_that_cannot_be_imported_is_taken_back(make_plane, loading, tmp_path):
    """A broken canary never gets traffic; the plane rolls it back and the error names the cause."""
    plane = make_plane("process")
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1"))
        status = client.wait("svc", poll_interval_s=0.2)
        with loading(status.query_url, status.query_auth_token) as load:
            client.deploy(
                plane.config(tmp_path, "bad", code="import nothing_of_that_name"), canary_percent=10
            )
            with pytest.raises(WaitFailedError):
                client.wait("svc", state="ROLLING_OUT", version="bad", canary_weight=10, poll_interval_s=0.2)
            status = client.wait("svc", state="RUNNING", poll_interval_s=0.2)
            load.wait_for("v1", 5)
        assert load.failures == []
        assert set(load.answers) == {"v1"}
        assert "nothing_of_that_name" in (status.error_message or "")
        with pytest.raises(ConflictError):
            client.rollback("svc")


def test_the_query_token_is_required(make_plane, tmp_path):
    """Without the service's token the router answers 401 itself."""
    plane = make_plane("process")
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1"))
        status = client.wait("svc", poll_interval_s=0.2)
    assert httpx.get(status.query_url, trust_env=False).status_code == 401


def test_down_and_up_again_restarts_what_was_deployed(make_plane, tmp_path):
    """``down`` ends every process and keeps what was asked for; ``up`` serves it again at the same URL."""
    plane = make_plane("process")
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1"))
        url = client.wait("svc", poll_interval_s=0.2).query_url
    plane.down()
    assert children_of(plane.state_dir) == []
    plane.up()
    with plane.client() as client:
        status = client.wait("svc", timeout_s=60, poll_interval_s=0.2)
    answer = httpx.get(url, headers={"Authorization": f"Bearer {status.query_auth_token}"}, trust_env=False)
    assert answer.text == "v1"


def test_a_plane_that_is_told_to_end_takes_its_record_along(make_plane):
    """SIGTERM alone, without `plane down`: no token and no address of a plane that is gone lie about."""
    plane = make_plane("process")
    record = plane.state_dir / "plane.json"
    assert record.exists()
    os.kill(plane.record["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 30
    while control.read_record(plane.state_dir) or record.exists():
        reap(plane.record["pid"])
        assert time.monotonic() < deadline
        time.sleep(0.02)
    plane.up()


def test_two_planes_on_one_directory_are_refused(make_plane):
    """A second plane on the same state directory is told where the first one is."""
    plane = make_plane("process")
    with pytest.raises(PlaneError, match="already running"):
        plane.up()


def test_a_taken_port_is_named(tmp_path):
    """A port in use is refused by name with the way out, and leaves no process."""
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        settings = daemon.PlaneSettings(state_dir=tmp_path / "state", port=port, engine="process")
        with pytest.raises(PlaneError, match=rf"port {port} .*--port"):
            control.spawn(settings)
    assert children_of(tmp_path / "state") == []


def test_the_command_line_says_what_is_wrong_without_a_traceback(tmp_path):
    """`plane down` and `plane env` without a plane end with a sentence and an exit code."""
    environment = {"ANYSERVICE_STATE_DIR": str(tmp_path), "PATH": "/usr/bin"}
    command = [sys.executable, "-c", "from anyservice_core.cli import main; main()", "plane", "env"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == PlaneError.exit_code
    assert "anyservice plane up" in done.stderr
    assert "Traceback" not in done.stderr
