"""What a person sees, as text."""

import io
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dags_examples.demo.board import Board, column
from dags_examples.demo.checks import Check
from dags_examples.demo.river import bands, fold
from dags_examples.demo.traffic import Record, Sample
from dags_examples.demo.view import Lines, draw, line, summary
from dags_examples.demo.watch import Look
from tests.clock import Clock

NOW = Clock.now

counts = st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.integers(0, 500))


@pytest.fixture
def board(clock):
    look = Look("ROLLING_OUT", {"v1": 90, "v2": 10}, {"v1": "RUNNING", "v2": "RUNNING"}, "v1", "v2")
    board = Board(["v1 serves", "v2, by an Airflow DAG"], Record(), look=lambda: look, clock=clock)
    board.about.update({"v1": "logistic regression", "v2": "support vector machine"})
    return board


def text_of(picture, width=112):
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(picture)
    return console.export_text()


@given(counts, st.integers(3, 20))
def test_every_version_that_answered_is_seen(requests, levels):
    """A column is full if anyone answered, and nobody who did is too small to be seen."""
    present = {version for version, n in requests.items() if n}
    stack = bands(requests, levels)
    assert len(stack) == (levels if present else 0)
    assert set(stack) == present


@given(st.lists(counts, max_size=300), st.integers(1, 120))
def test_squeezing_loses_no_request(columns, width):
    """However narrow the terminal, each request is in one column."""
    folded = fold(columns, width)
    assert len(folded) <= width
    assert sum(map(Counter, folded), Counter()) == sum(map(Counter, columns), Counter())


@given(st.lists(st.tuples(st.floats(0, 500), st.sampled_from(["v1", "v2"])), max_size=50))
def test_columns_hold_every_request(requests):
    """Time is cut without gaps."""
    assert sum(sum(counts.values()) for counts in column(requests)) == len(requests)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (112, 40), (200, 60), (60, 20)])
def test_screen_fits_its_terminal(board, width, height):
    """No line is wider than the terminal, from the first moment on."""
    for at in (0, 30):
        board.record.add(Sample(NOW + at, 0.02, 200, "v1", right=True))
        lines = text_of(draw(board.moment(), width=width, height=height), width).splitlines()
        assert max(map(len, lines)) <= width


def test_screen_shows_what_matters(board, clock):
    """Weights, counts, accuracy, latency, chapters, what is waited for, and what happened."""
    for right in (True, True, True, False):
        board.record.add(Sample(NOW, 0.02, 200, "v2", right=right))
    board.begin(1)
    board.wait("weight 10 % seen, baking 20s")
    board.tell("airflow", "deploying v2")
    clock.now += 7
    text = text_of(draw(board.moment(), width=112, height=40))
    for expected in (
        "90 %",
        "10 %",
        "75.0 %",
        "20 ms",
        "✔ v1 serves",
        "baking 20s  7 s",
        "deploying v2",
        "0 dropped",
    ):
        assert expected in text


def test_dropped_requests_are_in_sight(board):
    """A loss is said on the screen and in the lines."""
    board.record.add(Sample(NOW, 0.02, 503))
    assert "1 dropped" in text_of(draw(board.moment(), width=112, height=40))
    assert "dropped 1" in line(board.moment())


def test_same_event_twice_is_one(board):
    """A log that repeats itself does not fill the screen."""
    for text in ("rolled back", "rolled back.", "done"):
        board.tell("prefect", text)
    assert [event.text for event in board.events()] == ["rolled back", "done"]


def test_lines_tell_every_event(board):
    """Without a terminal nothing that happened is missing, and how things stand is in between."""
    console = Console(file=io.StringIO(), width=200)
    with Lines(board, console):
        board.record.add(Sample(NOW, 0.02, 200, "v1", right=True))
        board.tell("plane", "v2 is running")
        board.tell("airflow", "asking for 50 %")
    said = console.file.getvalue()
    assert "v2 is running" in said
    assert "asking for 50 %" in said
    assert "1 requests" in said


@pytest.mark.parametrize(
    ("good", "verdict"), [(True, "All 1 answers are yes"), (False, "1 of 1 answers are no")]
)
def test_summary_ends_with_the_verdict(good, verdict):
    """The last line says it in words, after how long."""
    text = text_of(summary([Check("no process is left", good, "none")], took_s=83))
    assert verdict in text
    assert "01:23" in text
