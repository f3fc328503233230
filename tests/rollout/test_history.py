"""A rollout put in order, from whatever its events and its report tell."""

from typing import Any

from anyservice_core.rollout import Event, Kind, Outcome, RolloutReport, StepReport
from anyservice_core.rollout.history import Span, history, plain
from anyservice_core.rollout.report import Phase

T = 1_800_000_000.0


def event(kind: Kind, at: float, weight: int | None = None, message: str = "m", **data: Any) -> Event:
    return Event(kind, "rec", "r-2", weight, message, T + at, data)


def report(outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> RolloutReport:
    known = {"service": "rec", "version_name": "r-2", "reason": "so", "started_at": T, "ended_at": T + 600.0}
    return RolloutReport(outcome=outcome, **{**known, **fields})


def test_the_weight_is_what_the_events_saw() -> None:
    """One place for each change, from nothing."""
    told = [
        event(Kind.STARTED, 0),
        event(Kind.BAKING, 10, 5),
        event(Kind.MEASURED, 20, 5),
        event(Kind.BAKING, 300, 50),
        event(Kind.FINISHED, 602, 100),
    ]
    known = history(report(), told)
    assert known.weights == [(T, 0), (T + 10, 5), (T + 300, 50), (T + 602, 100)]
    assert (known.start, known.end) == (T, T + 602)


def test_without_events_the_report_tells_the_weight() -> None:
    """A rollback ends at nothing; a pause where it was."""
    steps = (StepReport(weight=5, seen_at=T + 10, baked_s=90.0, phase=Phase.SUCCESSFUL),)
    back = history(report(Outcome.ROLLED_BACK, steps=steps))
    assert back.weights == [(T, 0), (T + 10, 5), (T + 600, 0)]
    assert back.bakes == [Span(T + 10, T + 100, "5 %", 5)]
    assert back.steps == [Span(T + 10, T + 600, "5 %", 5)]
    assert history(report(Outcome.PAUSED, steps=steps)).weights == [(T, 0), (T + 10, 5)]


def test_a_bake_ends_when_it_is_over_or_the_weight_moves() -> None:
    """Whichever is first."""
    told = [
        event(Kind.BAKING, 10, 5, bake_s=60.0),
        event(Kind.BAKING, 100, 50, bake_s=300.0),
        event(Kind.ROLLING_BACK, 150, 50),
        event(Kind.BAKING, 200, 50, bake_s="long"),
    ]
    spans = [(bake.start - T, bake.end - T) for bake in history(report(), told).bakes]
    assert spans == [(10, 70), (100, 150), (200, 200)]


def test_a_gate_holds_until_something_moves_or_another_wait_begins() -> None:
    """From the event that told of it; one that still holds at the end, to the end."""
    told = [
        event(Kind.WAITING, 0, message="the deploy waits", gate="window:start"),
        event(Kind.DEPLOYING, 50),
        event(Kind.WAITING, 60, message="starting"),
        event(Kind.WAITING, 100, message="paused", gate="pause"),
        event(Kind.MEASURED, 110),
        event(Kind.WAITING, 200, message="approval", gate="5"),
        event(Kind.WAITING, 300, message="a measurement is tried again"),
        event(Kind.WAITING, 400, message="window", gate="window:advance"),
    ]
    held = [(span.start - T, span.end - T, span.what) for span in history(report(), told).held]
    assert held == [
        (0, 50, "the deploy waits"),
        (100, 200, "paused"),
        (200, 300, "approval"),
        (400, 600, "window"),
    ]


def test_between_two_parts_nobody_holds_it() -> None:
    """A part that is over waits for nobody: no time is drawn as held, and no mark stands for it."""
    told = [
        event(Kind.WAITING, 100, 5, "approval", gate="5"),
        event(Kind.WAITING, 200, 5, "this part is over", gate="end"),
        event(Kind.STARTED, 260, 5),
    ]
    known = history(report(), told)
    assert [(span.start - T, span.end - T) for span in known.held] == [(100, 200)]
    assert [(span.start - T, span.end - T) for span in known.away] == [(200, 260)]
    assert [sign.message for sign in known.signs] == ["approval"]


def test_between_two_runs_nobody_watched() -> None:
    """The time before a rollout was started again is told apart."""
    told = [
        event(Kind.STARTED, 0),
        event(Kind.FINISHED, 100, 5),
        event(Kind.STARTED, 500),
        event(Kind.ADOPTED, 501),
    ]
    assert [(span.start - T, span.end - T) for span in history(report(), told).away] == [(100, 500)]


def test_of_troubles_in_a_row_one_is_a_sign() -> None:
    """A server that is silent for an hour is one sign, not a hundred; measurements between them are no news."""
    kinds = [
        Kind.TROUBLE,
        Kind.MEASURED,
        Kind.TROUBLE,
        Kind.ORDERED,
        Kind.TROUBLE,
        Kind.SHIFTING,
        Kind.FINISHED,
    ]
    known = history(report(), [event(kind, at) for at, kind in enumerate(kinds)])
    assert [sign.at - T for sign in known.signs] == [0, 3, 4, 6]


def test_other_versions_earlier_runs_and_what_cannot_be_read_are_left_out() -> None:
    """A file may hold more than this rollout, and its last line may be half written."""
    good = event(Kind.BAKING, 10, 5).to_dict()
    told = [
        good,
        {**good, "version": "r-1"},
        {**good, "at": T - 3_600},
        {**good, "at": float("nan")},
        {**good, "at": "soon"},
        {**good, "weight": "much"},
        {**good, "data": None},
        {**good, "kind": "of a newer version"},
        {**good, "more": 1},
        {"kind": "baking"},
    ]
    assert [one.at for one in history(report(), told).events] == [T + 10]


def test_measurements_know_their_step_and_when_it_began() -> None:
    """Numbers that are none are left out, and so are phases that are not known."""
    told = [
        event(Kind.MEASURED, 1, 0, metric="early", phase="failed", numbers=None),
        event(Kind.MEASURED, 2, 0, metric="early", phase="failed"),
        event(Kind.BAKING, 10, 5),
        event(
            Kind.MEASURED,
            20,
            5,
            "e: one",
            metric="e",
            phase="inconclusive",
            numbers={"n": 1, "x": "y", "z": True},
        ),
        event(Kind.MEASURED, 25, 5, metric="e", phase="of a newer version"),
        event(Kind.MEASURED, 26, 5, metric="", phase="failed"),
        event(Kind.BAKING, 30, 50),
        event(Kind.MEASURED, 40, 50, "e: two", metric="e", phase="error", numbers={"errors_in_row": 5}),
    ]
    known = history(report(), told)
    one, two = known.metrics["e"]
    assert (one.step, one.began, one.message, one.numbers, one.trouble) == (1, T + 10, "one", {"n": 1}, False)
    assert (two.step, two.began, two.phase, two.trouble) == (2, T + 30, Phase.ERROR, True)
    assert [(point.step, point.began) for point in known.metrics["early"]] == [(0, T + 1), (0, T + 1)]


def test_the_plan_is_the_one_that_was_told_last() -> None:
    """A plan may be edited between two runs."""
    told = [
        event(Kind.STARTED, 0, plan={"metrics": [{"name": "e", "interval": 1}]}),
        event(Kind.STARTED, 9, plan={"metrics": ["?", {"name": "e", "interval": 2}]}),
        event(Kind.STARTED, 10, plan="lost"),
    ]
    known = history(report(), told)
    assert known.metric("e")["interval"] == 2
    assert known.metric("unknown") == {}


def test_plain_numbers() -> None:
    """Truth values, texts, infinities and what is not a number at all cannot be drawn."""
    assert [plain(one) for one in (1, 2.5, True, "3", float("inf"), float("nan"), None)] == [
        *(1.0, 2.5),
        *[None] * 5,
    ]
