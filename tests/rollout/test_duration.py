"""Spans of time, written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.rollout.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90),
        ("90", 90),
        ("10s", 10),
        ("15m", 900),
        ("1h30m", 5400),
        ("2d", 172_800),
        (" 1H 5S ", 3605),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (0, 0),
        (0.5, 0.5),
    ],
)
def test_durations_are_read_as_people_write_them(text: object, seconds: float) -> None:
    """Numbers are seconds, texts have units."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "15 parsecs",
        "1m1m",
        "-3",
        -3,
        "-3s",
        "1e3s",
        "٣s",
        True,
        None,
        [],
        "nan",
        float("nan"),
        float("inf"),
    ],
)
def test_what_is_no_duration_is_refused_with_a_way_out(text: object) -> None:
    """The message shows the value and how to write it."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(st.integers(0, 10**7))
def test_a_printed_duration_reads_back_within_its_rounding(seconds: int) -> None:
    """What people see is what was meant, to the minute over an hour and to the hour over a day."""
    rounding = 1800 if seconds >= 86_400 - 60 else 30 if seconds >= 3_600 - 1 else 0
    assert abs(parse_duration(format_duration(seconds)) - seconds) <= rounding


@given(st.text(alphabet="0123456789.smhd -", max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    """No other error, whatever is written in a plan."""
    try:
        assert parse_duration(text) >= 0
    except ValueError as error:
        assert "is not a duration" in str(error)
