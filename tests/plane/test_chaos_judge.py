"""The judge of the chaos: what it lets pass, and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.plane.chaos.judge import History, Kill, judge, table
from tests.plane.chaos.traffic import Record

RIGHT = Record("kept", due=1.0, ended=1.1, status=200, tag="one", version="srv_1")


@pytest.fixture
def history():
    """One serves; from 2 on two may answer as well; at 5 one is known to have no traffic any more."""
    history = History()
    history.name("srv_1", "one")
    history.name("srv_2", "two")
    history.allow(0.0, "one")
    history.allow(2.0, "one", "two")
    history.allow(5.0, "two")
    return history


@pytest.mark.parametrize(
    ("record", "right"),
    [
        (RIGHT, True),
        (replace(RIGHT, tag="two", version="srv_2"), False),  # too early
        (
            replace(RIGHT, due=1.9, ended=2.1, tag="two", version="srv_2"),
            True,
        ),  # under way when it was asked for
        (replace(RIGHT, due=4.9, ended=5.1), True),  # under way when it was done
        (replace(RIGHT, due=5.1, ended=5.2), False),  # sent when it was done
        (replace(RIGHT, due=5.1, ended=5.2, pin="srv_1"), True),  # asked for by name
        (replace(RIGHT, due=3.0, ended=3.1, pin="srv_2"), False),
        (replace(RIGHT, due=3.0, ended=3.1, version="srv_2"), False),  # signed by another
        (replace(RIGHT, due=5.1, ended=5.2, kind="talk"), True),  # a websocket stays where it is
    ],
)
def test_who_may_answer_when(history, record, right):
    """What was asked for may happen from then on; what was said to be done has happened."""
    verdict = judge([record], history)
    assert (not verdict.wrong) is right
    assert verdict.dropped == []


@pytest.mark.parametrize(
    "record",
    [
        replace(RIGHT, status=503),
        replace(RIGHT, status=0, error="closed"),
        replace(RIGHT, error="5 of 9 bytes"),
    ],
)
def test_what_is_not_a_whole_answer_is_dropped(history, record):
    """An error of the router, of the connection and of the content are all the same to the user."""
    assert judge([record], history).dropped == [record]


def test_a_kill_excuses_what_was_under_way_and_nothing_else(history):
    """Before and after it, every request counts."""
    kill = Kill("canary", 3.0, 3.1)
    lost = [replace(RIGHT, due=due, ended=due + 0.2, status=502) for due in (2.0, 2.9, 3.05, 3.2)]
    verdict = judge(lost, history, [kill])
    assert verdict.cut == {"canary": lost[1:3]}
    assert verdict.dropped == [lost[0], lost[3]]


def test_times_are_told_by_kind(history):
    """How many, the middle, the slowest hundredth and the slowest."""
    records = [replace(RIGHT, ended=RIGHT.due + ms / 1000) for ms in range(1, 101)]
    assert table(judge(records, history)) == [("kept", 100, "50.5", "99.0", "100")]
