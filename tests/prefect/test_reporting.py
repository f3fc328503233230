"""What a rollout's artifacts hold, told by events alone: no Prefect, no plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core import RolledBackError, RolloutReport
from anyservice_core.rollout import Event, Kind, Outcome
from prefect_tasks.reporting import Exhibit, Link, Story, Text, Verdicts, Weight, slug

pytestmark = pytest.mark.prefect

CONSOLE = "http://plane.test"
NUMBERS = {"canary_requests": 200.0, "canary_bad": 60.0}


def event(kind: Kind, weight: int | None, message: str, **data: Any) -> Event:
    return Event(kind, "recommender", "v3-abc", weight, message, 1_800_000_000.0, data)


def measured(weight: int, phase: str, numbers: dict[str, float] = NUMBERS) -> Event:
    said = f"errors: 30 % | bad: {phase}"
    return event(Kind.MEASURED, weight, said, metric="errors", phase=phase, numbers=numbers)


def told(*events: object) -> tuple[Story, list[Exhibit]]:
    story = Story()
    return story, [exhibit for one in events for exhibit in story.hear(one)]


def report(outcome: Outcome = Outcome.ROLLED_BACK) -> RolloutReport:
    return RolloutReport(
        outcome=outcome,
        service="recommender",
        service_id="service2_x",
        version_name="v3-abc",
        version="version_3",
        baseline_version="version_2",
        reason="errors: worse",
        started_at=0.0,
        ended_at=90.0,
    )


def weights(exhibits: Sequence[Exhibit]) -> list[float]:
    return [exhibit.percent for exhibit in exhibits if isinstance(exhibit, Weight)]


BAD = (
    event(Kind.STARTED, None, "rolling out"),
    event(Kind.DEPLOYING, None, "deploying"),
    event(Kind.WAITING, 0, "the canary is STARTING"),
    event(Kind.BAKING, 10, "weight 10 % seen"),
    measured(10, "inconclusive"),
    measured(10, "failed"),
    event(Kind.ROLLING_BACK, 10, "rolling back: errors: worse"),
    event(Kind.FINISHED, None, "rolled back: errors: worse", outcome="rolled_back"),
)


def test_the_bar_moves_with_the_weight_and_falls_back_with_it() -> None:
    """The bar follows the canary: up to its step, and to nothing when it was taken back."""
    assert weights(told(*BAD)[1]) == [0, 0, 10, 10, 0]


def test_the_bar_is_full_after_a_promotion() -> None:
    """A promotion fills the bar."""
    done = event(Kind.FINISHED, 100, "succeeded: it serves all traffic", outcome="succeeded")
    assert weights(told(done)[1]) == [100]


def test_looking_moves_nothing() -> None:
    """A poll that changes nothing makes no request to Prefect."""
    story, _ = told(event(Kind.BAKING, 10, "weight 10 % seen"))
    looks = (measured(10, "inconclusive"), event(Kind.WAITING, 10, "baking"), "an event of another call")
    assert [exhibit for look in looks for exhibit in story.hear(look)] == []


def test_a_step_ends_with_one_table_of_the_last_verdicts() -> None:
    """A row for a metric at a step holds the last verdict and its numbers."""
    tables = [exhibit for exhibit in told(*BAD)[1] if isinstance(exhibit, Verdicts)]
    row = {"weight": "10 %", "metric": "errors", "verdict": "✕ failed", "what it says": "30 % | bad: failed"}
    assert tables == [Verdicts("recommender", ({**row, **NUMBERS},))]


def test_all_rows_have_all_columns() -> None:
    """Metrics of different kinds have different numbers, and Prefect's UI shows the columns of the first row."""
    story = Story()
    of_probe = event(Kind.MEASURED, 10, "fine", metric="answers", phase="successful", numbers={"value": 1.0})
    (table,) = (
        shown
        for one in (of_probe, measured(10, "failed"), event(Kind.SHIFTING, 10, "on"))
        for shown in story.hear(one)
        if isinstance(shown, Verdicts)
    )
    assert {tuple(row) for row in table.rows} == {
        ("weight", "metric", "verdict", "what it says", "value", *NUMBERS)
    }
    assert [row["value"] for row in table.rows] == [1, ""]


def test_each_step_adds_its_rows() -> None:
    """The table of a later step still holds those before it."""
    _, exhibits = told(
        measured(10, "successful"),
        event(Kind.SHIFTING, 10, "asking for 50 %"),
        measured(50, "successful"),
        event(Kind.PROMOTING, 50, "promoting"),
    )
    tables = [exhibit for exhibit in exhibits if isinstance(exhibit, Verdicts)]
    assert [[row["weight"] for row in table.rows] for table in tables] == [["10 %"], ["10 %", "50 %"]]


def test_the_report_says_how_it_ended_and_why() -> None:
    """The report holds outcome, reason, versions, verdicts and what happened, and the link the service's page."""
    story, _ = told(*BAD)
    error = RolledBackError("taken back", report=report().to_dict())
    text, link = story.end(error, CONSOLE)
    assert isinstance(text, Text)
    for said in (
        "recommender: rolled back",
        "errors: worse",
        "`v3-abc`",
        "`version_2`",
        "1m30s",
        "weight 10 % seen",
    ):
        assert said in text.markdown
    assert link == Link("recommender", f"{CONSOLE}/services/service2_x")


def test_a_promotion_is_reported_like_a_failure() -> None:
    """What is returned and what is raised come out in the same form."""
    story, _ = told(event(Kind.STARTED, None, "rolling out"))
    text, _ = story.end(report(Outcome.SUCCEEDED), CONSOLE)
    assert isinstance(text, Text)
    assert "recommender: succeeded" in text.markdown


def test_a_rollout_that_was_cut_short_says_how_to_go_on() -> None:
    """Without a report there is still one: how far it came, and that the service was left alone."""
    story, _ = told(*BAD[:4])
    (text,) = story.end(KeyboardInterrupt(), CONSOLE)
    assert isinstance(text, Text)
    for said in ("stopped at 10 %", "KeyboardInterrupt", "left as it is", "Run the same rollout again"):
        assert said in text.markdown


def test_nothing_is_shown_of_a_rollout_that_never_began() -> None:
    """Bad input needs no artifact: the run's own failure says it all."""
    assert list(Story().end(ValueError("no such file"), CONSOLE)) == []


@given(st.text(max_size=50))
def test_any_name_makes_a_key_that_prefect_takes(name: str) -> None:
    """Keys hold lower case letters, digits and dashes, and are never empty."""
    key = slug(name)
    assert key
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
