from __future__ import annotations

import threading

import pytest

from prefect_tasks.looking import Looking

pytestmark = pytest.mark.prefect


def test_what_people_said_is_there_when_a_look_is_over():
    """A server that answers is waited for."""
    found: list[str] = []
    Looking(lambda: found.append("approve"), patience_s=30).look()
    assert found == ["approve"]


def test_a_server_that_is_away_holds_nobody_up():
    """One look is under way at a time, however often one is asked for; the next one begins when it has ended."""
    away, looks = threading.Event(), []

    def look() -> None:
        looks.append(threading.current_thread())
        away.wait(60)

    looking = Looking(look, patience_s=0.01)
    for _ in range(3):
        looking.look()
    assert len(looks) == 1
    assert not looking.finish(0)
    away.set()
    assert looking.finish(30)
    looking.look()
    assert len(looks) == 2
    assert looks[1] is not looks[0]
