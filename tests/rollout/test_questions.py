"""Which question holds a rollout, as its events and its journal tell."""

from __future__ import annotations

from typing import Any

import pytest

from anyservice_core.rollout import Event, Journal, Kind
from anyservice_core.rollout.questions import OpenQuestion, Question


def event(kind: Kind, **data: Any) -> Event:
    return Event(kind, "recommender", "v2-abc", 10, "it waits", 1_800_000_000.0, data)


def held_at(gate: str | None) -> Journal:
    return Journal(rollout_key="k", version_name="v2-abc", gate=gate)


@pytest.fixture
def open_question() -> OpenQuestion:
    """One that was just asked: the promotion, for a while."""
    asked = OpenQuestion()
    assert asked.hear(event(Kind.WAITING, gate="promotion", until=1_800_000_060.0))
    return asked


def test_a_gate_asks(open_question: OpenQuestion) -> None:
    """What waits at a gate is a question, in its own words and with its end."""
    assert open_question.now == Question(
        "recommender", "v2-abc", "promotion", 1_800_000_060.0, "recommender: it waits"
    )


@pytest.mark.parametrize(
    "kind", [Kind.MEASURED, Kind.TROUBLE, Kind.ORDERED, Kind.BAKING, Kind.WAITING], ids=str
)
def test_what_goes_on_meanwhile_leaves_it_open(open_question: OpenQuestion, kind: Kind) -> None:
    """A measurement, a plane that is away, an order: none of them says that the gate was left."""
    assert not open_question.hear(event(kind))
    assert open_question.now is not None


@pytest.mark.parametrize("kind", [Kind.SHIFTING, Kind.PROMOTING, Kind.ROLLING_BACK, Kind.FINISHED], ids=str)
def test_what_moves_on_settles_it(open_question: OpenQuestion, kind: Kind) -> None:
    """Once the weight moves or the rollout ends, nobody needs to answer."""
    open_question.hear(event(kind))
    assert open_question.now is None


def test_it_is_the_journals_gate_that_holds(open_question: OpenQuestion) -> None:
    """A journal of another gate, or of none, is kept from before or after the question."""
    assert open_question.holds(held_at("promotion"))
    assert not open_question.holds(held_at("10"))
    assert not open_question.holds(held_at(None))
    open_question.settle()
    assert not open_question.holds(held_at("promotion"))


@pytest.mark.parametrize(
    ("remembered", "gate"),
    [
        ({"gate": "10", "version_name": "v2-abc"}, "10"),
        ({"gate": "10", "version_name": "v1-abc"}, None),
        ({"gate": None, "version_name": "v2-abc"}, None),
        (None, None),
    ],
    ids=["this version's", "another version's", "none was open", "nothing is known"],
)
def test_a_rollout_that_is_found_again_is_asked_what_was_open(
    remembered: dict[str, Any] | None, gate: str | None
) -> None:
    """It does not tell of its gate anew, so what the earlier process remembers is the question."""
    found = OpenQuestion()
    found.begin(remembered)
    assert not found.hear(event(Kind.ADOPTED))
    assert (found.now.gate if found.now else None) == gate


@pytest.mark.parametrize(
    ("gate", "until", "asks", "is_window"),
    [
        *(("promotion", None, True, False), ("50", 1.0, True, False), ("pause", None, False, False)),
        *(("window:start", 1.0, False, True), ("window:start", None, False, False)),
    ],
)
def test_people_are_asked_at_some_and_the_clock_at_others(
    gate: str, until: float | None, *, asks: bool, is_window: bool
) -> None:
    """Approvals ask people; a window ends by itself, if its end is known; an order to pause does neither."""
    question = Question("recommender", "v2", gate, until, "go on?")
    assert (question.asks, question.is_window) == (asks, is_window)


def test_what_is_no_event_says_nothing() -> None:
    """A call that uploads reports other things than events of a rollout."""
    asked = OpenQuestion()
    assert not asked.hear("uploading")
    assert asked.now is None
