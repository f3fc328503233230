"""From measurements to verdicts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.metrics import Count, Increase, Level, Reading, Totals, Unreadable
from anyservice_core.rollout import Journal, RolloutPlan
from anyservice_core.rollout.evidence import Window
from anyservice_core.rollout.judge import judge, metrics_at, remember
from anyservice_core.rollout.metric import Metric
from anyservice_core.rollout.report import Finding, Phase
from anyservice_core.rollout.tally import Tally, due, record

ROUTER = {"name": "errors", "provider": "router"}
GAUGE: dict[str, Any] = {
    "name": "memory",
    "provider": {"prometheus": {"address": "http://prometheus:9090", "query": "mem"}},
}


def metric(**fields: Any) -> Metric:
    return Metric.model_validate({**GAUGE, "success": {"max": 0.9}, **fields})


def measured(metric: Metric, *readings: Reading) -> Tally:
    tally = Tally()
    for at, reading in enumerate(readings):
        tally = remember(metric, record(metric, tally, reading, float(at)), ())
    return tally


def finding(metric: Metric | dict[str, Any], tally: Tally, steps: list[int] | None = None) -> Finding:
    plan = RolloutPlan.parse({"steps": steps or [10], "metrics": [metric]})
    name = plan.metrics[0].name
    journal = Journal(rollout_key="k", version_name="r-k", weight=10, tallies={name: tally})
    return next(found for found in judge(plan, journal).findings if found.metric == name)


def levels(metric: Metric, *values: float | None) -> Phase:
    return finding(metric, measured(metric, *map(Level, values))).phase


def test_a_limit_is_exceeded_and_not_reached() -> None:
    """``failure_limit: 2`` forgives two failures and fails at the third."""
    forgiving = metric(failure_limit=2)
    assert levels(forgiving, 1.0, 1.0, 0.5) is Phase.SUCCESSFUL
    assert levels(forgiving, 1.0, 1.0, 0.5, 1.0) is Phase.FAILED
    assert levels(metric(), 1.0) is Phase.FAILED


def test_a_limit_in_a_row_forgives_unrelated_blips() -> None:
    """Five blips in a long rollout are not five failures in a row."""
    row = metric(consecutive_failure_limit=1)
    assert levels(row, *[1.0, 0.5] * 5) is Phase.SUCCESSFUL
    assert levels(row, 0.5, 1.0, 1.0) is Phase.FAILED


@pytest.mark.parametrize(
    ("ranges", "value", "phase"),
    [
        ({"success": {"max": 0.9}}, 0.9, Phase.SUCCESSFUL),
        ({"success": {"max": 0.9}}, 0.91, Phase.FAILED),
        ({"success": None, "failure": {"min": 0.97}}, 0.96, Phase.SUCCESSFUL),
        ({"success": None, "failure": {"min": 0.97}}, 0.97, Phase.FAILED),
        ({"failure": {"min": 0.97}}, 0.93, Phase.INCONCLUSIVE),
        ({"failure": {"min": 0.5}}, 0.7, Phase.FAILED),
    ],
)
def test_ranges_say_what_the_standard_says(ranges: dict[str, Any], value: float, phase: Phase) -> None:
    """Failure wins; between two ranges lies the unknown; one range alone decides both ways."""
    assert levels(metric(**ranges), value) is phase


@pytest.mark.parametrize(
    ("on_no_data", "phase"),
    [("inconclusive", Phase.INCONCLUSIVE), ("success", Phase.SUCCESSFUL), ("failure", Phase.FAILED)],
)
def test_no_data_says_what_the_plan_makes_of_it(on_no_data: str, phase: Phase) -> None:
    """By default nothing, which never advances a rollout."""
    assert levels(metric(on_no_data=on_no_data), None) is phase


def test_an_outage_is_no_verdict_about_the_canary() -> None:
    """Errors are tried again, end as an error, and are forgotten with the first measurement that works."""
    down = Unreadable("connection refused")
    few = finding(metric(), measured(metric(), Level(0.1), down, down))
    assert (few.phase, few.pending) == (Phase.SUCCESSFUL, True)
    assert finding(metric(), measured(metric(), Level(0.1), *[down] * 4)).pending
    many = finding(metric(), measured(metric(), Level(0.1), *[down] * 5))
    assert many.phase is Phase.ERROR
    assert "connection refused" in many.message
    assert finding(metric(), measured(metric(), *[down] * 5, Level(0.1))).phase is Phase.SUCCESSFUL


def test_a_failure_before_an_outage_stays_a_failure() -> None:
    """One order everywhere: failed is worse than error."""
    assert finding(metric(), measured(metric(), Level(1.0), *[Unreadable("down")] * 9)).phase is Phase.FAILED


def totals(*rows: tuple[int, int, int, int]) -> list[Reading]:
    return [Totals(Count(a, b), Count(c, d)) for a, b, c, d in rows]


def compared(*rows: tuple[int, int, int, int], **compare: Any) -> Finding:
    asked = Metric.model_validate({**ROUTER, "compare": compare})
    return finding(asked, measured(asked, *totals(*rows)))


def test_a_canary_that_is_clearly_worse_fails_with_its_numbers() -> None:
    """The sentence says what happened; the numbers are there for machines."""
    worse = compared(
        (0, 0, 0, 0), (78, 4, 700, 3), (156, 8, 1400, 6), (234, 12, 2100, 8), (312, 16, 2811, 11)
    )
    assert worse.phase is Phase.FAILED
    assert "canary 5.1 % of 312 against primary 0.4 % of 2811: worse (evidence" in worse.message
    assert worse.numbers["canary_bad"] == 16
    assert worse.numbers["evidence"] > worse.numbers["needed"]


def test_a_canary_that_nobody_calls_is_not_passed() -> None:
    """Twenty seconds without a request are no success."""
    assert compared((0, 0, 0, 0), (0, 0, 5000, 3)).phase is Phase.INCONCLUSIVE
    assert compared((0, 0, 0, 0)).message == "no request was counted yet"


def test_a_quiet_service_passes_by_its_own_rate() -> None:
    """No errors on either side: enough clean answers decide."""
    assert compared((0, 0, 0, 0), (353, 0, 3000, 0)).phase is Phase.INCONCLUSIVE
    assert compared((0, 0, 0, 0), (354, 0, 3000, 0)).phase is Phase.SUCCESSFUL
    assert compared((0, 0, 0, 0), (354, 0, 3000, 0), max_rate=None).phase is Phase.INCONCLUSIVE


def test_an_incident_on_both_sides_is_common_mode() -> None:
    """A fifth of all answers bad, on both: going back would not help."""
    both = compared((0, 0, 0, 0), (500, 100, 4500, 900))
    assert both.phase is Phase.INCONCLUSIVE
    assert both.common_mode


def test_a_canary_alone_above_the_rate_is_not_common_mode() -> None:
    """Leaning to worse, not proven yet: it must not be excused by a healthy primary."""
    alone = compared((0, 0, 0, 0), (100, 6, 900, 4))
    assert alone.phase is Phase.INCONCLUSIVE
    assert not alone.common_mode
    assert "leaning to worse" in alone.message


def test_what_was_proven_once_stands_unless_it_is_refuted() -> None:
    """The evidence may wander after it was enough; the test allows to stop at that moment."""
    rows = [(0, 0, 0, 0), (400, 0, 3600, 0), (410, 3, 3700, 30)]
    assert compared(*rows[:2]).phase is Phase.SUCCESSFUL
    assert compared(*rows).phase is Phase.SUCCESSFUL
    assert compared(*rows, (600, 90, 5400, 31)).phase is Phase.FAILED


def test_a_counter_that_begins_anew_costs_one_window_and_no_verdict() -> None:
    """A restarted router is not a canary without errors."""
    asked = Metric.model_validate(ROUTER)
    tally = measured(asked, *totals((100, 9, 900, 1), (150, 9, 1350, 1), (5, 0, 40, 0), (55, 0, 490, 1)))
    assert tally.windows == (Window(50, 0, 450, 0), Window(50, 0, 450, 1))
    assert measured(asked, *totals((100, 9, 900, 1), (150, 2, 1350, 1))).windows == ()


def test_more_questions_raise_the_bar() -> None:
    """Each step may be wrong, so each is judged the more strictly the more there are."""
    asked = Metric.model_validate(ROUTER)
    tally = measured(asked, *totals((0, 0, 0, 0), (300, 10, 2700, 14)))
    bars = [finding(asked, tally, steps).numbers["needed"] for steps in ([10], [10, 20, 30, 40])]
    assert bars == pytest.approx([20.0, 80.0])


def test_a_dry_run_is_shown_and_not_counted() -> None:
    """A metric can be tried out on a real rollout."""
    plan = RolloutPlan.parse({"steps": [10], "metrics": [metric(dry_run=True)]})
    tallies = {"memory": measured(metric(), Level(1.0)), "service": Tally().count(Phase.SUCCESSFUL)}
    verdict = judge(plan, Journal(rollout_key="k", version_name="r-k", weight=10, tallies=tallies))
    assert verdict.phase is Phase.SUCCESSFUL
    assert "(dry run)" in str(verdict.findings[1])


def test_the_verdict_is_that_of_the_worst_metric() -> None:
    """And it says which."""
    plan = RolloutPlan.parse({"steps": [10], "metrics": [metric(), ROUTER]})
    tallies = {"memory": measured(metric(), Level(1.0)), "service": Tally().count(Phase.SUCCESSFUL)}
    verdict = judge(plan, Journal(rollout_key="k", version_name="r-k", weight=10, tallies=tallies))
    assert verdict.phase is Phase.FAILED
    assert verdict.reason.startswith("memory: 1")


def test_at_weight_zero_nothing_is_compared_unless_it_is_named() -> None:
    """No user's request reaches the canary there."""
    plan = RolloutPlan.parse({"steps": [0, 10], "metrics": [ROUTER, metric()]})
    assert [m.name for m in metrics_at(plan, 0)] == ["service", "memory"]
    assert [m.name for m in metrics_at(plan, 10)] == ["service", "errors", "memory"]
    named = RolloutPlan.parse(
        {"steps": [{"weight": 10, "analysis": ["memory"]}], "metrics": [ROUTER, metric()]}
    )
    assert [m.name for m in metrics_at(named, 10)] == ["service", "memory"]


def test_measurements_come_at_their_interval_and_errors_are_tried_sooner() -> None:
    """Counters are read at once, as that is where counting begins; increases wait for a whole window."""
    router, gauge = Metric.model_validate(ROUTER), metric(initial_delay=5)
    increases = Metric.model_validate(
        {
            **ROUTER,
            "provider": {"prometheus": {"address": "http://p", "errors": "e", "requests": "r"}},
            "compare": {},
        }
    )
    assert due(router, Tally(), since=100, now=100)
    assert not due(gauge, Tally(), since=100, now=104)
    assert due(gauge, Tally(), since=100, now=105)
    assert not due(increases, Tally(), since=100, now=159)
    assert due(increases, Tally(), since=100, now=160)
    assert not due(gauge, Tally(at=200), since=100, now=259)
    assert due(gauge, Tally(at=200, errors_in_row=1), since=100, now=210)
    assert due(router, Tally(at=200), since=100, now=203, last_look=True)


rows = st.lists(
    st.one_of(
        st.builds(Level, st.none() | st.floats(allow_nan=False)),
        st.builds(Unreadable, st.text(max_size=5)),
    ),
    max_size=12,
)


@given(rows, st.integers(0, 3), st.integers(0, 3))
def test_any_history_gives_a_finding_in_one_line(readings: list[Reading], failures: int, errors: int) -> None:
    """Whatever was measured, it can be said."""
    asked = metric(failure_limit=failures, consecutive_error_limit=errors)
    found = finding(asked, measured(asked, *readings))
    assert "\n" not in str(found) or any("\n" in getattr(r, "why", "") for r in readings)


pairs = st.integers(0, 60).flatmap(lambda n: st.builds(Count, st.just(n), st.integers(0, n)))


@given(st.lists(st.builds(Increase, pairs, pairs), max_size=10))
def test_any_counts_give_a_finding_with_numbers(readings: list[Reading]) -> None:
    """No division by nothing, no overflow; and the tally survives being written down."""
    asked = Metric.model_validate(
        {
            **ROUTER,
            "provider": {"prometheus": {"address": "http://p", "errors": "e", "requests": "r"}},
            "compare": {},
        }
    )
    tally = measured(asked, *readings)
    found = finding(asked, tally)
    assert sum(window.canary_n for window in tally.windows) == found.numbers.get("canary_requests", 0)
    assert Tally.model_validate_json(tally.model_dump_json()) == tally


def test_a_long_bake_stays_small_in_memory() -> None:
    """Windows are merged in pairs; what was counted stays counted."""
    asked = Metric.model_validate(ROUTER)
    tally = measured(asked, *totals(*((n, 0, 9 * n, 0) for n in range(1000))))
    assert len(tally.windows) <= 240
    assert sum(window.canary_n for window in tally.windows) == 999
