"""`plane doctor`: each thing that can be amiss is found, with the way out, and nothing is changed by looking."""

from __future__ import annotations

import json
import os
import random
import resource
import socket
from contextlib import closing

import pytest
from click.testing import CliRunner

from anyservice_core.cli import root
from anyservice_core.models.enums import ServiceState as S
from anyservice_core.plane.changes import Birth, deploy
from anyservice_core.plane.doctor.examine import examine
from anyservice_core.plane.doctor.finding import Case
from anyservice_core.plane.engines.procfs import listener_on
from anyservice_core.plane.ports import is_free
from anyservice_core.plane.store import Event, Store
from tests.plane.world import apply


@pytest.fixture
def case(tmp_path):
    """A folder that is not there yet, and a port that is free, as is the next: below those that others are given at random."""
    start = random.randrange(20_000, 30_000)
    port = next(port for port in range(start, 32_000) if is_free(port) and is_free(port + 1))
    return Case(tmp_path / "state", port, "process")


@pytest.fixture
def store(case):
    """Of a plane that has one service."""
    with closing(Store(case.state_dir / "plane.db")) as store:
        store.save(
            deploy(None, apply("v1"), Birth(1.0, "process", "c", "p", lambda: case.port + 1)).replace(
                state=S.RUNNING
            )
        )
        yield store


def found(case, name):
    return [finding for finding in examine(case) if finding.name == name]


def test_a_machine_that_has_all_is_told_so(case):
    """Each thing is named, none is a problem, and looking leaves nothing behind."""
    findings = examine(case)
    assert {finding.level for finding in findings} <= {"ok", "warning"}
    assert {"router", "ray", "state folder", "ports", "disk", "memory", "limits", "clock"} <= {
        f.name for f in findings
    }
    assert not case.state_dir.exists()


def test_who_holds_a_port_is_named(case):
    """By pid and command, with another port as the way out."""
    with socket.create_server(("127.0.0.1", case.port)):
        (finding,) = found(case, "ports")
    assert finding.level == "problem"
    assert f"pid {os.getpid()} (" in finding.message
    assert finding.way_out.endswith(f"--port {case.port + 1}")


def test_a_services_port_that_somebody_took_is_a_problem(case, store):
    """Its address would be somebody else's."""
    with socket.create_server(("127.0.0.1", case.port + 1)):
        (finding,) = found(case, "ports")
    assert (finding.level, "service svc" in finding.message) == ("problem", True)


def test_nobody_holds_a_port_that_is_free(case):
    """Then there is nobody to name."""
    assert listener_on(case.port) == ""


def test_a_record_without_its_plane_is_told(case):
    """What a killed one left, and what takes over from it."""
    case.state_dir.mkdir()
    (case.state_dir / "plane.json").write_text(json.dumps({"pid": 2**22, "host": "h", "token": "t"}))
    (finding,) = found(case, "plane")
    assert (finding.level, "plane up -d" in finding.way_out) == ("warning", True)


def test_tokens_that_others_can_read_are_a_problem(case, store):
    """With the command that mends it."""
    path = case.state_dir / "plane.db"
    path.chmod(0o644)
    assert [f.way_out for f in found(case, "secrets")] == [f"chmod 600 {path}"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_problem(case):
    """Before anybody tries to."""
    case.state_dir.mkdir(mode=0o500)
    assert found(case, "state folder")[0].level == "problem"


def test_a_damaged_store_is_a_problem(case):
    """A backup is the way out."""
    case.state_dir.mkdir()
    (case.state_dir / "plane.db").write_bytes(b"no database" * 100)
    (finding,) = found(case, "store")
    assert (finding.level, "restore" in finding.way_out) == ("problem", True)


def test_a_clock_that_was_set_back_is_a_problem(case, store):
    """Events of the future say so."""
    assert found(case, "clock")[0].level == "ok"
    store.note(Event("s", 4e9, "state", "later"))
    assert found(case, "clock")[0].level == "problem"


def test_few_files_are_a_problem(case):
    """Each connection is one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        (finding,) = [f for f in found(case, "limits") if "open files" in f.message]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (finding.level, "ulimit -n" in finding.way_out) == ("problem", True)


def test_the_command_ends_as_it_found_it(case):
    """0 without problems, 12 with one; for programs each finding is an object."""
    environment = {"ANYSERVICE_STATE_DIR": str(case.state_dir)}
    args = ["plane", "doctor", "--engine", "process", "--port", str(case.port)]
    well = CliRunner().invoke(root, [*args, "-o", "json"], env=environment)
    assert (well.exit_code, json.loads(well.stdout)["ok"]) == (0, True)
    with socket.create_server(("127.0.0.1", case.port)):
        ill = CliRunner().invoke(root, args, env=environment)
    assert (ill.exit_code, "1 problem found" in ill.stderr) == (12, True)
    line = next(line for line in ill.stdout.splitlines() if line.startswith("problem"))
    assert "ports" in line
