"""`anyservice plane logs`, `backup` and `restore`, as they print."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from click.testing import CliRunner

from anyservice_core.cli import root
from anyservice_core.plane.store import Store
from tests.plane.test_backup import service


@pytest.fixture
def state(tmp_path):
    """The folder of a plane that has one service, and a log."""
    folder = tmp_path / "state"
    with closing(Store(folder / "plane.db")) as store:
        one = service("one", 8700)
        store.save(one)
    hosts = folder / "hosts" / one.primary.id
    hosts.mkdir(parents=True)
    (hosts / "host.log").write_text("".join(f"line {number}\n" for number in range(100)) + "no end")
    (folder / "plane.log").write_text("the plane's\n")
    return folder


@pytest.fixture
def call(state):
    """Run a command of the plane on this folder."""

    def call(*args: str):
        return CliRunner().invoke(root, ["plane", *args], env={"ANYSERVICE_STATE_DIR": str(state)})

    return call


def test_the_planes_own_log_is_the_first_choice(call):
    """Without any name it is what is meant."""
    assert call("logs").stdout == "the plane's\n"


def test_as_many_lines_as_are_asked_for(call):
    """From the end, and what has no end yet."""
    assert call("logs", "-v", "v1", "-n", "2").stdout == "line 98\nline 99\nno end\n"
    assert call("logs", "-s", "one", "-n", "0").stdout == ""
    assert len(call("logs", "-v", "v1", "-n", "1000").stdout.splitlines()) == 101


def test_lines_of_several_say_whose_they_are(call, state):
    """Files of one version alone say nothing of the kind."""
    with closing(Store(state / "plane.db")) as store:
        two = service("two", 8701)
        store.save(two.replace(primary=two.primary.replace(name="v2")))
    folder = state / "hosts" / two.primary.id
    folder.mkdir()
    (folder / "host.log").write_text("other\n")
    said = call("logs", "-s", "two").stdout
    assert said == "other\n"
    with closing(Store(state / "plane.db")) as store:
        for number, one in enumerate(store.services()):
            store.save(one.replace(name="same", project_id=f"p{number}"))
    said = call("logs", "-s", "same", "-n", "1").stdout
    assert {"v1 | line 99", "v2 | other"} <= set(said.splitlines())


def test_what_is_written_later_is_followed(state):
    """Lines come whole, and once, however they are written."""
    from anyservice_core.cli.plane_logs import _Tail

    path = state / "plane.log"
    tail = _Tail(path, 0)
    assert list(tail.news()) == []
    with path.open("a") as log:
        log.write("half")
        log.flush()
        assert list(tail.news()) == []
        log.write(" and half\nnext\n")
    assert list(tail.news()) == ["half and half", "next"]
    path.write_text("anew\n")
    assert list(tail.news()) == ["anew"]


def test_a_backup_says_what_is_in_it(call, tmp_path):
    """And that it is to be kept to oneself."""
    done = call("backup", str(tmp_path / "file"))
    assert (done.exit_code, "Saved 1 service with 0 uploads to" in done.stdout) == (0, True)
    assert "0600" in done.stderr
    assert call("backup", str(tmp_path / "file")).exit_code == 12
    told = json.loads(call("backup", str(tmp_path / "file"), "--overwrite", "-o", "json").stdout)
    assert told["urls"] == {"one": "http://127.0.0.1:8700"}


def test_a_restore_says_where_services_will_answer(call, tmp_path):
    """And how to start the plane, and where what was there before is."""
    call("backup", str(tmp_path / "file"))
    refused = call("restore", str(tmp_path / "file"))
    assert (refused.exit_code, "--replace" in refused.stderr) == (12, True)
    done = call("restore", str(tmp_path / "file"), "--replace")
    assert (done.exit_code, "  one  http://127.0.0.1:8700\n" in done.stdout) == (0, True)
    assert "anyservice plane up -d" in done.stderr
    assert "before-restore-" in done.stderr


@pytest.mark.real
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_a_plane_in_the_foreground_tells_and_ends_in_peace(tmp_path, signal_):
    """Ctrl-C and SIGTERM are how it is told to end: no error, and a word on what goes on."""
    command = [sys.executable, "-c", "from anyservice_core.cli import main; main()", "plane", "up"]
    environment = {**os.environ, "ANYSERVICE_STATE_DIR": str(tmp_path / "new")}
    with subprocess.Popen(
        [*command, "--port", "0", "--engine", "process"], env=environment, stderr=subprocess.PIPE, text=True
    ) as plane:
        assert plane.stderr is not None
        began = plane.stderr.readline()
        plane.send_signal(signal_)
        said = plane.stderr.read()
    assert "The plane listens on http://127.0.0.1:" in began
    assert (plane.returncode, "its services go on" in said) == (0, True)
