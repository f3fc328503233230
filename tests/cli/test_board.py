"""A rollout on a terminal, written in place."""

import click
import pytest

from anyservice_core.cli import root
from anyservice_core.cli.board import Board
from anyservice_core.rollout import Event, Journal, Kind, RolloutPlan
from tests.cli.screen import Screen

PLAN = RolloutPlan.parse(
    {"steps": [5, 25], "bake": "1m", "metrics": [{"name": "errors", "provider": "router"}]}
)


class Desk:
    """A board on a screen of paper, whose clock tests move."""

    def __init__(self, columns=80, rows=24):
        self.screen = Screen(columns, rows)
        self.time = 0.0
        self.board = Board(write=self.screen.write, size=lambda: self.screen.size, clock=lambda: self.time)
        self.board._wind_up = lambda: None

    def tell(self, kind, message, weight=None, at=100.0, **data):
        self.board(Event(kind, "recommender", "r-1", weight, message, at, data))

    def tick(self, seconds):
        self.time += seconds
        self.board._draw()


@pytest.fixture(autouse=True)
def command(monkeypatch):
    """As inside a command; what stderr speaks is not this terminal's business."""
    monkeypatch.setattr("anyservice_core.cli.board.speaks_unicode", lambda: True)
    with click.Context(root):
        yield


@pytest.fixture
def desk():
    at = Desk()
    at.tell(Kind.STARTED, "rolling out r-1", plan=PLAN.to_dict())
    at.tell(Kind.BAKING, "weight 5 % seen, baking 1m", 5)
    return at


BAKED = """\
     0s  rolling out r-1
     0s  weight 5 % seen, baking 1m
recommender  r-1  {passed}
traffic  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░██  primary 95 %  canary 5 %
steps    [5 %] → 25 % → all
bake     {bar}  {passed} of 1m, {left} left"""


def test_what_happened_scrolls_by_and_where_it_stands_is_below(desk):
    """Each event a line, once; the block under them is written over."""
    assert desk.screen.text == BAKED.format(passed="0s", left="1m", bar="░" * 30)
    desk.tick(12)
    assert desk.screen.text == BAKED.format(passed="12s", left="48s", bar="██████" + "░" * 24)


def test_measurements_change_the_block_only(desk):
    """They would push everything else out of sight."""
    numbers = {"measured": 1}
    for value in ("0.7", "0.8"):
        desk.tell(Kind.MEASURED, f"memory: {value}", 5, metric="memory", phase="successful", numbers=numbers)
    assert desk.screen.text.count("memory") == 1
    assert desk.screen.text.endswith("metrics  ✓ memory  0.8")


def test_nothing_is_written_when_nothing_has_changed(desk):
    """So nothing flickers; what is written comes in one piece."""
    before = len(desk.screen.writes)
    for _ in range(20):
        desk.tick(0.04)
    assert len(desk.screen.writes) == before
    desk.tick(1)
    assert len(desk.screen.writes) == before + 1
    assert desk.screen.writes[-1].startswith("\x1b[?2026h")
    assert desk.screen.writes[-1].endswith("\x1b[?2026l")


@pytest.mark.parametrize("columns", [79, 70, 50, 30])
def test_a_terminal_made_narrower_leaves_nothing_behind(desk, columns):
    """The rows that its wrapped lines take by now are counted."""
    desk.screen.narrow(columns)
    desk.tick(1)
    assert desk.screen.text.count("recommender") == 1
    assert desk.screen.text.count("traffic") == 1
    assert "rolling out r-1" in desk.screen.text
    assert max(map(len, desk.screen.rows[-6:])) <= columns


def test_a_long_event_is_wrapped_with_all_of_its_rows_clear(desk):
    """A row that the terminal wrapped by itself would show through."""
    desk.tell(Kind.ROLLING_BACK, "rolling back: " + "errors " * 30, 5)
    rows = desk.screen.text.splitlines()
    assert rows[2].startswith("     0s  rolling back: errors")
    assert rows[3].startswith("         errors")
    assert max(map(len, rows)) <= 79


def test_a_low_terminal_keeps_the_head_and_what_is_waited_for():
    """Metrics go first."""
    low = Desk(rows=7)
    low.tell(Kind.STARTED, "rolling out r-1", plan=PLAN.to_dict())
    low.tell(Kind.BAKING, "weight 5 % seen", 5)
    for name in "abcd":
        low.tell(Kind.MEASURED, f"{name}: 1", 5, metric=name, phase="successful", numbers={})
    low.tell(Kind.WAITING, "it waits", 5, gate="5")
    block = low.screen.text.splitlines()[-5:]
    assert [line.split()[0] for line in block] == ["recommender", "traffic", "steps", "now", "anyservice"]


def test_at_the_end_the_block_is_gone_and_what_happened_stays(desk):
    """The result comes in its place; the last event would only say it twice."""
    desk.tell(Kind.FINISHED, "succeeded: it serves all traffic", 5)
    desk.board.close()
    assert desk.screen.text == "     0s  rolling out r-1\n     0s  weight 5 % seen, baking 1m"
    desk.board.close()
    assert desk.screen.at == 2


def test_an_upload_is_a_line_that_passes(desk):
    """Before there is anything else to show, and among it; other words stay."""

    class Sending:
        folder, sent, size = "app", 3_000_000, 10_000_000

    desk.board(Sending())
    assert desk.screen.text.splitlines()[-1] == "uploading 30% of 10.0 MB"
    desk.board("the journal cannot be read")
    assert "uploading" not in desk.screen.text
    assert desk.screen.text.splitlines()[2] == "the journal cannot be read"


def test_what_is_saved_sets_the_clock(desk):
    """Other things that are saved do not."""
    journal = Journal.fresh("k", "r-1", 0, 40.0).replace(
        weight=5, seen_at=100.0, settled=True, baked_s=30.0, looked_at=130.0
    )
    desk.board.keep(journal)
    desk.board.keep("something else")
    desk.tick(6)
    assert "36s of 1m, 24s left" in desk.screen.text
    assert "recommender  r-1  1m36s" in desk.screen.text


def test_no_colour_where_none_is_wanted():
    """The environment or an option said so."""
    with click.Context(root) as ctx:
        ctx.color = False
        plain = Desk()
        plain.tell(Kind.STARTED, "rolling out r-1", plan=PLAN.to_dict())
    assert "\x1b[1m" not in "".join(plain.screen.writes)
    colored = Desk()
    colored.tell(Kind.STARTED, "rolling out r-1", plan=PLAN.to_dict())
    assert "\x1b[1m" in "".join(colored.screen.writes)
