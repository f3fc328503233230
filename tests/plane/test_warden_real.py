"""A version that takes more memory than it may is ended, told of, and given up if it does so again and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing

import pytest

from anyservice_core.plane.changes import Birth, deploy
from anyservice_core.plane.engines.procfs import held_bytes
from anyservice_core.plane.engines.sessions import Session
from anyservice_core.plane.store import Store
from anyservice_core.plane.warden import Warden
from tests.plane.world import apply

pytestmark = pytest.mark.real
MIB = 2**20


@pytest.fixture
def store(tmp_path):
    with closing(Store(tmp_path / "plane.db")) as store:
        born = deploy(None, apply("v1"), Birth(1.0, "process", "c", "p", lambda: 8700))
        store.save(born)
        yield store


@pytest.fixture
def host(store, tmp_path):
    """A host of that service's version that holds a hundred megabytes in a child of its own."""
    (service,) = store.services()
    code = "held = b'x' * (100 << 20); print('there', flush=True); input()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        folder = tmp_path / "hosts" / service.primary.id
        folder.mkdir(parents=True)
        record = {"engine": "process", "pid": process.pid, **Session.of_leader(process.pid, "").to_dict()}
        (folder / "host.json").write_text(json.dumps(record))
        yield process
        if process.poll() is None:
            os.killpg(process.pid, 9)


def test_what_all_its_processes_hold_counts(store, host, tmp_path):
    """The child's memory is the host's; both are killed, and the record says how much it was."""
    Warden(store, tmp_path, 50 * MIB).look()
    assert host.wait(timeout=10) == -9
    (service,) = store.services()
    (event,) = store.events(service.id)
    assert event.version_id == service.primary.id
    assert event.message.startswith("v1 held 1")
    assert "may have 50 MiB" in event.message


@pytest.mark.parametrize("limit", [0, 4096 * MIB])
def test_what_is_within_its_limit_goes_on(store, host, tmp_path, limit):
    """Or has none."""
    Warden(store, tmp_path, limit).look()
    assert host.poll() is None


def test_a_look_is_taken_every_two_seconds(store, host, tmp_path):
    """It costs a millisecond a process, so not at every tick."""
    now = [1000.0]
    warden = Warden(store, tmp_path, 4096 * MIB, clock=lambda: now[0])
    warden.look()
    warden._limit = 50 * MIB
    warden.look()
    assert host.poll() is None
    now[0] += 3
    warden.look()
    assert host.wait(timeout=10) == -9


def test_a_process_that_is_gone_holds_nothing():
    """It may end while it is looked at."""
    assert held_bytes(2**22) == 0
    assert held_bytes(os.getpid()) > MIB
