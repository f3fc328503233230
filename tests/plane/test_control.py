"""The plane from outside, without one: what it leaves, and what it does not."""

from __future__ import annotations

import socket

import pytest

from anyservice_core.plane import control, daemon
from anyservice_core.plane.run_dir import remove_run_dir, run_dir


@pytest.fixture
def sockets(tmp_path):
    """The folder for sockets of a state directory of this test."""
    path = run_dir(tmp_path)
    yield path
    remove_run_dir(tmp_path, dead=True)
    assert not path.exists()


def test_looking_for_a_plane_leaves_nothing(tmp_path, sockets):
    """Asking where its sockets are, or stopping a plane that is not there, makes no folder."""
    daemon.engines(tmp_path)
    control.down(tmp_path)
    assert not sockets.exists()


def test_down_removes_what_a_killed_plane_left(tmp_path, sockets):
    """Sockets that nobody listens on go with their folder."""
    run_dir(tmp_path, make=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sockets / "haproxy.sock"))
    control.down(tmp_path)
    assert not sockets.exists()


def test_a_plane_that_ends_leaves_the_sockets_of_what_goes_on(tmp_path, sockets):
    """While hosts and router go on, a plane's own end takes nothing from them."""
    run_dir(tmp_path, make=True)
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(sockets / "host.sock"))
        remove_run_dir(tmp_path)
        assert (sockets / "host.sock").exists()


def test_a_large_log_is_put_aside(tmp_path, monkeypatch):
    """Once, in place of the one before it; a small one goes on."""
    log = tmp_path / "plane.log"
    assert control._fresh(log) == 0
    log.write_text("small")
    assert control._fresh(log) == 5
    monkeypatch.setattr(control, "LARGEST_LOG", 4)
    assert control._fresh(log) == 0
    assert ((tmp_path / "plane.log.1").read_text(), log.exists()) == ("small", False)
