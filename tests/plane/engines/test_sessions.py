from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from anyservice_core.plane.engines.sessions import MARK, Session

pytestmark = pytest.mark.real

# A leader with a child in a process group of its own; both wait for the end of their input.
PAIR = "import subprocess, sys; subprocess.Popen(['sleep', '600'], process_group=0); print('up', flush=True); sys.stdin.read()"


@pytest.fixture
def pair() -> Iterator[tuple[subprocess.Popen[str], Session]]:
    with subprocess.Popen(
        [sys.executable, "-c", PAIR],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, MARK: "mine"},
    ) as leader:
        assert leader.stdout
        assert leader.stdout.readline() == "up\n"
        session = Session.of_leader(leader.pid, "mine")
        yield leader, session
        leader.kill()
        leader.wait()
        session.kill()


Pair = tuple[subprocess.Popen[str], Session]


def test_members_are_found_across_process_groups(pair: Pair) -> None:
    """The session holds what the process group does not."""
    assert len(pair[1].members()) == 2


def test_orphans_are_known_by_their_mark(pair: Pair) -> None:
    """With the leader gone the child is still ours, and is killed; with another mark it is a stranger."""
    leader, session = pair
    leader.kill()
    leader.wait()
    assert not session.leader_alive()
    assert len(session.members()) == 1
    assert replace(session, mark="other").members() == []
    session.kill()
    while session.members():
        pass


TITLED = """
import subprocess, sys
child = "import setproctitle, sys; setproctitle.setproctitle('ray::ServeReplica'); print('up', flush=True); sys.stdin.read()"
subprocess.Popen([sys.executable, "-c", child], process_group=0)
sys.stdin.read()
"""


def test_orphans_that_set_their_title_are_known_too() -> None:
    """A title lies where the environment was: an orphan without one is ours if it is younger than the leader."""
    with subprocess.Popen(
        [sys.executable, "-c", TITLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={MARK: "mine", **os.environ, "LAST": "x" * 5000},  # the title covers the mark, but not all of it
    ) as leader:
        assert leader.stdout
        assert leader.stdout.readline() == "up\n"
        session = Session.of_leader(leader.pid, "mine")
        os.kill(leader.pid, signal.SIGKILL)
        leader.wait()
        try:
            assert len(session.members()) == 1
            assert replace(session, start_ticks=session.start_ticks + 10_000).members() == []
        finally:
            session.kill()
        while session.members():
            pass


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another boot"}])
def test_a_reused_number_is_a_stranger(pair: Pair, change: dict[str, Any]) -> None:
    """Another start time, or another boot, means another process: it is neither seen nor hit."""
    leader, session = pair
    stranger = replace(session, **change)
    stranger.kill()
    assert not stranger.leader_alive()
    assert stranger.members() == []
    assert leader.poll() is None


def test_a_zombie_leader_is_dead(pair: Pair) -> None:
    """A leader that its parent has not collected yet does not count as alive."""
    leader, session = pair
    leader.kill()
    os.waitid(os.P_PID, leader.pid, os.WEXITED | os.WNOWAIT)
    assert not session.leader_alive()


def test_it_survives_json(pair: Pair) -> None:
    """What is written down names the same session."""
    assert Session.from_dict(pair[1].to_dict()) == pair[1]
