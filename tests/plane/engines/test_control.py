from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.plane.engines.control import ControlServer, ask, reply_to

ANSWERS = {"status": lambda: {"state": "RUNNING"}}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    server = ControlServer(tmp_path / "s", ANSWERS)
    server.start()
    yield tmp_path / "s"
    server.close()


def test_question_and_answer(path: Path) -> None:
    """What the host says comes back whole."""
    assert ask(path, "status", timeout_s=5.0) == {"state": "RUNNING"}


def test_an_unknown_question_names_the_known_ones(path: Path) -> None:
    """A word that the host does not know gets an error and the way out."""
    assert "status" in (ask(path, "dance", timeout_s=5.0) or {})["error"]


def test_only_the_owner_may_ask(path: Path) -> None:
    """Nobody else on the machine can talk to a host."""
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_a_caller_that_says_nothing_harms_nobody(path: Path) -> None:
    """A connection closed without a word leaves the host answering."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(path))
    assert ask(path, "status", timeout_s=5.0) == {"state": "RUNNING"}


def test_no_answer_is_none(tmp_path: Path) -> None:
    """A missing socket, and one where nobody answers in time, are both silence."""
    assert ask(tmp_path / "nobody", "status") is None
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        deaf.listen(1)
        assert ask(tmp_path / "deaf", "status", timeout_s=0.05) is None


@given(st.binary(max_size=200))
def test_no_line_breaks_the_host(line: bytes) -> None:
    """Whatever is sent, the host has an answer."""
    assert set(reply_to(line, ANSWERS)) <= {"error", "state"}
