"""When the time of day lets a rollout move, and when not."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

from anyservice_core.rollout.windows import Closed, Move, Window, closed

LONDON = ZoneInfo("Europe/London")
OFFICE = Window(kind="allow", schedule="0 9 * * mon-thu", duration="8h", timezone="Europe/London")
HOLIDAYS = Window(
    kind="deny", schedule="0 0 20 12 *", duration="14d", timezone="Europe/London", reason="holidays"
)


def london(*date: int) -> float:
    return datetime(*date, tzinfo=LONDON).timestamp()  # type: ignore[arg-type,misc]


def test_without_windows_every_move_is_free() -> None:
    """No match means open."""
    assert closed((), Move.START, london(2026, 11, 27, 3)) is None


@pytest.mark.parametrize(
    ("at", "free"),
    [
        ((2026, 11, 26, 8, 59), False),
        ((2026, 11, 26, 9, 0), True),
        ((2026, 11, 26, 16, 59), True),
        ((2026, 11, 26, 17, 0), False),
        ((2026, 11, 27, 10, 0), False),  # a Friday
    ],
)
def test_a_window_is_open_from_its_first_second_to_before_its_end(at: tuple[int, ...], free: bool) -> None:
    """From nine to five, Monday to Thursday."""
    assert (closed([OFFICE], Move.PROMOTE, london(*at)) is None) is free


def test_whoever_waits_learns_until_when() -> None:
    """On Friday noon the next move is on Monday at nine."""
    shut = closed([OFFICE], Move.ADVANCE, london(2026, 11, 27, 12))
    assert shut == Closed("outside of 0 9 * * mon-thu Europe/London", london(2026, 11, 30, 9))


def test_an_open_denial_wins_over_any_allowance() -> None:
    """Office hours within the holidays are holidays; the first office hour after them opens."""
    shut = closed([OFFICE, HOLIDAYS], Move.START, london(2026, 12, 21, 10))
    assert shut == Closed("denied: holidays", london(2027, 1, 4, 9))


def test_a_window_holds_only_the_moves_that_it_names() -> None:
    """Promotions may be frozen while canaries go on."""
    freeze = Window(kind="deny", schedule="* * * * *", duration="1d", actions=["promote"])
    assert closed([freeze], Move.ADVANCE, london(2026, 11, 27, 12)) is None
    assert closed([freeze], Move.PROMOTE, london(2026, 11, 27, 12)) is not None


def test_a_window_that_never_opens_again_names_no_time() -> None:
    """Nothing is invented."""
    never = closed([Window(kind="deny", schedule="* * * * *", duration="1d")], Move.START, 0.0)
    assert never is not None
    assert never.opens_at is None


@pytest.mark.parametrize("day", [(2026, 3, 29), (2026, 10, 25), (2026, 7, 1)])
def test_office_hours_are_those_of_the_wall_clock_when_the_clocks_change(day: tuple[int, int, int]) -> None:
    """Nine is nine in summer and in winter, and a night shift ends at six on both nights of the change."""
    daily = Window(kind="allow", schedule="0 9 * * *", duration="8h", timezone="Europe/London")
    for hour, free in ((8, False), (9, True), (16, True), (17, False)):
        assert (closed([daily], Move.START, london(*day, hour)) is None) is free
    night = Window(kind="deny", schedule="0 22 * * *", duration="8h", timezone="Europe/London")
    for hour, free in ((5, False), (6, True), (21, True), (22, False)):
        assert (closed([night], Move.START, london(*day, hour)) is None) is free


def test_a_start_that_the_clocks_leap_over_still_comes() -> None:
    """01:30 does not exist on the night of the change: the window opens at 02:00."""
    early = Window(kind="allow", schedule="30 1 * * *", duration="2h", timezone="Europe/London")
    assert closed([early], Move.START, london(2026, 3, 29, 2, 15)) is None


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.sampled_from(["UTC", "Europe/London"]))
def test_the_time_that_is_told_is_the_first_that_is_free(moment: datetime, zone: str) -> None:
    """A minute before it the move is still held."""
    windows = [OFFICE.model_copy(update={"timezone": zone}), HOLIDAYS]
    at = moment.replace(tzinfo=LONDON).timestamp()
    shut = closed(windows, Move.ADVANCE, at)
    if shut is not None:
        assert shut.opens_at is not None
        assert closed(windows, Move.ADVANCE, shut.opens_at) is None
        assert closed(windows, Move.ADVANCE, shut.opens_at - 1) is not None
        assert shut.opens_at - at < timedelta(days=30).total_seconds()


def test_a_schedule_of_leap_days_names_the_next() -> None:
    """A leap day is years away, and is found all the same."""
    leap = Window(kind="allow", schedule="0 0 29 2 *", duration="1d")
    shut = closed([leap], Move.START, london(2026, 3, 1))
    assert shut is not None
    assert shut.opens_at == datetime(2028, 2, 29, tzinfo=ZoneInfo("UTC")).timestamp()
