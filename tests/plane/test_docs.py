"""The page and the picture of the lifecycle show the tables, whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from anyservice_core.plane.lifecycle import SERVICE, VERSION

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def lifecycle(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    from pages import lifecycle

    return lifecycle


@pytest.mark.parametrize("states", [SERVICE, VERSION])
def test_every_move_is_on_the_page_and_no_other(lifecycle, states):
    """Taken apart again, what is drawn is the table: each state, each event, and where it leads."""
    drawn = lifecycle.graph(states)
    seen = {
        (state, event, move.end)
        for move in drawn.moves
        for state in (drawn.group if move.start not in states else [move.start])
        for event in move.events.split(", ")
    }
    assert seen == {(s, e, to) for s, row in states.items() for e, to in row.items()}


def test_every_state_and_event_is_in_the_picture(lifecycle):
    """Nothing that a table knows is left out of the drawing."""
    told = set(re.findall(r"[\w ]+", lifecycle.picture().replace("when ", ", ").replace(": stays", "")))
    told = {text.strip() for text in told}
    for states in (SERVICE, VERSION):
        assert set(states) <= told
        assert {event for row in states.values() for event in row} <= told
