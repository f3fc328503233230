"""From measurements to verdicts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.metrics import Count, Increase, Level, Reading, Said, Totals, Unreadable
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
INCREASES: dict[str, Any] = {
    "name": "errors",
    "provider": {
        "prometheus": {
            "address": "http://prometheus:9090",
            "errors": 'bad{v="{{ version.id }}"}',
            "requests": 'all{v="{{ version.id }}"}',
        }
    },
    "compare": {},
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


G, B, N = 0.5, 1.0, 0.93  # good, bad, neither
BANDS = {"success": {"max": 0.9}, "failure": {"min": 0.97}}


@pytest.mark.parametrize(
    ("limits", "values", "phase", "said"),
    [
        ({}, [G], Phase.SUCCESSFUL, "0.5 (good up to 0.9, bad from 0.97): passed 1 of 1 measurement"),
        ({}, [G, B], Phase.FAILED, "failed 1 of 2 measurements, and none are allowed"),
        ({"failure_limit": 1}, [B], Phase.SUCCESSFUL, "passed 0 of 1 measurement"),
        ({"failure_limit": 1}, [B, G, B], Phase.FAILED, "failed 2 of 3 measurements, and 1 is allowed"),
        ({"consecutive_failure_limit": 1}, [B, G, B], Phase.SUCCESSFUL, "passed 1 of 3"),
        ({"consecutive_failure_limit": 1}, [B, B], Phase.FAILED, "failed 2 times in a row, and 1 is allowed"),
        ({"consecutive_failure_limit": 1}, [B, N, B], Phase.INCONCLUSIVE, "said neither yes nor no"),
        ({"consecutive_failure_limit": 1, "failure_limit": 2}, [B, G] * 3, Phase.FAILED, "failed 3 of 6"),
        (
            {},
            [N, G, G],
            Phase.INCONCLUSIVE,
            "1 of 3 measurements said neither yes nor no, and none are allowed",
        ),
        ({"inconclusive_limit": 1}, [N, G], Phase.SUCCESSFUL, "passed 1 of 2"),
        ({"inconclusive_limit": 1}, [N, G, N], Phase.INCONCLUSIVE, "2 of 3 measurements"),
        ({"failure_limit": 0, "inconclusive_limit": 0}, [N, B], Phase.FAILED, "failed 1 of 2"),
        (
            {"consecutive_success_limit": 2},
            [G, G],
            Phase.INCONCLUSIVE,
            "passed 2 in a row, and 3 are needed",
        ),
        ({"consecutive_success_limit": 2}, [G, G, G], Phase.SUCCESSFUL, "passed 3 times in a row"),
        ({"consecutive_success_limit": 0}, [G], Phase.SUCCESSFUL, "passed once in a row"),
        (
            {"consecutive_success_limit": 1, "failure_limit": 9},
            [G, B, G],
            Phase.INCONCLUSIVE,
            "passed 1 in a row, and 2 are needed",
        ),
        (
            {"consecutive_success_limit": 1, "failure_limit": 9},
            [G, G, B, G],
            Phase.SUCCESSFUL,
            "passed 2 times in a row",
        ),
        ({"consecutive_success_limit": 1, "failure_limit": 1}, [G, G, B, B], Phase.FAILED, "failed 2 of 4"),
        ({"consecutive_success_limit": 0}, [G, N], Phase.INCONCLUSIVE, "neither yes nor no"),
    ],
)
def test_each_limit_says_what_exceeding_it_means(
    limits: dict[str, Any], values: list[float], phase: Phase, said: str
) -> None:
    """Failure wins, then what is unclear; successes in a row stand until a limit of failures is exceeded."""
    banded = metric(**BANDS, **limits)
    found = finding(banded, measured(banded, *map(Level, values)))
    assert found.phase is phase
    assert said in found.message
    assert not found.pending


@pytest.mark.parametrize(
    ("limits", "values", "phase", "pending"),
    [
        ({}, [], Phase.INCONCLUSIVE, True),
        ({}, [G, G], Phase.INCONCLUSIVE, True),
        ({}, [G, G, G], Phase.SUCCESSFUL, False),
        ({}, [B], Phase.FAILED, False),
        ({}, [N], Phase.INCONCLUSIVE, False),
        ({"failure_limit": 3}, [B, B, B], Phase.SUCCESSFUL, False),
        ({"consecutive_success_limit": 1}, [G, G], Phase.SUCCESSFUL, False),
        ({"consecutive_success_limit": 2, "failure_limit": 1}, [G, B], Phase.INCONCLUSIVE, True),
        ({"consecutive_success_limit": 2, "failure_limit": 1}, [G, B, G], Phase.INCONCLUSIVE, False),
        ({"consecutive_success_limit": 2, "failure_limit": 0}, [G, B, G], Phase.FAILED, False),
    ],
)
def test_a_count_is_waited_for_and_then_it_is_over(
    limits: dict[str, Any], values: list[float], phase: Phase, pending: bool
) -> None:
    """Reached with no limit exceeded it passed; with successes in a row still missing nobody knows."""
    three = metric(**BANDS, count=3, **limits)
    tally = measured(three, *map(Level, values))
    found = finding(three, tally)
    assert (found.phase, found.pending) == (phase, pending)
    assert due(three, tally, since=0, now=1e9) is (len(values) < 3)


def test_errors_do_not_use_up_a_count_and_end_the_wait_for_it() -> None:
    """What could not be measured is no measurement; a store that stays down is an error, not a wait for ever."""
    three, down = metric(count=3), Unreadable("down")
    few = finding(three, measured(three, Level(G), down, down))
    assert (few.phase, few.pending) == (Phase.INCONCLUSIVE, True)
    assert finding(three, measured(three, Level(G), down, Level(G), Level(G))).phase is Phase.SUCCESSFUL
    many = finding(three, measured(three, Level(G), *[down] * 5))
    assert (many.phase, many.pending) == (Phase.ERROR, False)
    assert many.message == "could not be measured 5 times in a row: down"


def test_a_comparison_may_have_a_count() -> None:
    """It is decided before, or undecided after; the first reading of counters is where counting begins."""
    two = Metric.model_validate({**ROUTER, "count": 2})
    assert finding(two, Tally()).pending
    assert finding(two, measured(two, *totals((0, 0, 0, 0), (10, 0, 90, 0)))).pending
    over = measured(two, *totals((0, 0, 0, 0), (10, 0, 90, 0), (20, 0, 180, 0)))
    assert not due(two, over, since=0, now=1e9)
    assert (finding(two, over).phase, finding(two, over).pending) == (Phase.INCONCLUSIVE, False)
    early = finding(two, measured(two, *totals((0, 0, 0, 0), (400, 0, 3600, 0))))
    assert (early.phase, early.pending) == (Phase.SUCCESSFUL, False)


def test_a_source_that_judges_itself_is_taken_at_its_word() -> None:
    """Yes, no, and why."""
    asked = Metric.model_validate({"name": "smoke", "provider": {"python": "math:isfinite"}})
    assert finding(asked, measured(asked, Said(True))).message == "it said yes: passed 1 of 1 measurement"
    no = finding(asked, measured(asked, Said(False, "the answer\nwas empty")))
    assert no.phase is Phase.FAILED
    assert no.message == "the answer was empty: failed 1 of 1 measurement, and none are allowed"


@pytest.mark.parametrize(
    ("fields", "reading", "said"),
    [
        ({}, Level(0.5), "takes `success` or `failure`"),
        ({}, Increase(Count(1, 0), Count(1, 0)), "it brought counts"),
        ({"compare": {}}, Level(0.5), "it brought no counts"),
        ({"compare": {}}, Said(True), "it brought no counts"),
        ({"success": {"max": 1}}, Increase(Count(1, 0), Count(1, 0)), "take `compare`"),
    ],
)
def test_what_cannot_be_judged_is_an_error_and_no_verdict(
    fields: dict[str, Any], reading: Reading, said: str
) -> None:
    """A function may bring anything; what does not fit the metric says so."""
    asked = Metric.model_validate({"name": "smoke", "provider": {"python": "math:isfinite"}, **fields})
    found = finding(asked, measured(asked, *[reading] * 5))
    assert found.phase is Phase.ERROR
    assert said in found.message


def test_a_number_and_a_word_beside_it_are_both_told() -> None:
    """A share alone does not say what was wrong."""
    asked = Metric.model_validate({"name": "probe", "provider": {"probe": {"requests": 4}}})
    found = finding(asked, measured(asked, Level(0.75, "HTTP 500 where 200 to 299 is good")))
    assert found.phase is Phase.FAILED
    assert found.message.startswith("0.75 (good from 1; HTTP 500 where 200 to 299 is good): failed 1 of 1")
    banded = metric(success={"min": 1, "max": 2}, failure=None)
    assert "good from 1 to 2" in finding(banded, measured(banded, Level(1.5))).message


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
    assert few.message.endswith(
        "passed 1 of 1 measurement; then it could not be measured 2 times in a row: connection refused"
    )
    once = finding(metric(), measured(metric(), down))
    assert once.message == "not measured yet; then it could not be measured once: connection refused"
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
    assert worse.message.startswith(
        "canary 16 bad of 312 (5.1 %), primary 11 bad of 2811 (0.39 %): more than 2 times the primary's rate, at odds of"
    )
    assert worse.numbers["canary_bad"] == 16
    assert worse.numbers["evidence"] > worse.numbers["needed"]


def test_a_comparison_says_which_way_it_was_decided() -> None:
    """By the primary's side, by its own rate, or by what was known before."""
    beside = compared((0, 0, 0, 0), (1000, 20, 9000, 180), max_rate=None, dispersion=1)
    assert "less than 2 times the primary's rate, at odds of" in beside.message
    alone = compared((0, 0, 0, 0), (400, 0, 3600, 0))
    assert alone.message == (
        "canary 0 bad of 400 (0 %), primary 0 bad of 3600 (0 %): less than 1 %, at odds of 30 to 1 (20 needed)"
    )
    assert alone.numbers["evidence_fine"] > alone.numbers["needed_fine"]
    one_sided = compared((0, 0, 0, 0), (0, 0, 500, 3))
    assert one_sided.message == (
        "canary without requests, primary 3 bad of 500 (0.6 %): no request has reached the canary"
    )
    quiet = compared((0, 0, 0, 0), (100, 0, 900, 0))
    assert quiet.message.endswith("too little to tell, at odds of 2.2 to 1 that it is fine (20 needed)")


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
    assert alone.message.endswith(
        "too little to tell, at odds of 1.8 to 1 for more than 2 times the primary's rate (20 needed)"
    )


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
    straight = RolloutPlan.parse({"steps": [], "metrics": [metric()]})
    assert [m.name for m in metrics_at(straight, 100)] == ["service"]


def test_what_asks_by_itself_needs_no_users_to_compare() -> None:
    """A probe of both versions is a comparison at weight 0 too."""
    probe = Metric.model_validate({"name": "probe", "provider": {"probe": {}}, "compare": {}})
    plan = RolloutPlan.parse({"steps": [0], "metrics": [probe, ROUTER]})
    assert [m.name for m in metrics_at(plan, 0)] == ["service", "probe"]


def test_where_nothing_is_counted_nothing_is_said() -> None:
    """A plan whose every metric is on trial advances on no evidence."""
    plan = RolloutPlan.parse(
        {"steps": [10], "metrics": [{"name": "health", "provider": "service", "dry_run": True}]}
    )
    verdict = judge(plan, Journal(rollout_key="k", version_name="r-k", weight=10))
    assert (verdict.phase, verdict.reason) == (Phase.INCONCLUSIVE, "nothing was measured yet")
    assert len(verdict.findings) == 1


@pytest.mark.parametrize("bound", [{}, {"min": 2, "max": 1}])
def test_a_range_that_holds_nothing_is_refused(bound: dict[str, float]) -> None:
    """It could pass or fail no number."""
    with pytest.raises(ValueError, match=r"an empty range|swap them"):
        metric(success=bound)


def test_measurements_come_at_their_interval_and_errors_are_tried_sooner() -> None:
    """Counters are read at once, as that is where counting begins; increases wait for a whole window."""
    router, gauge = Metric.model_validate(ROUTER), metric(initial_delay=5)
    increases = Metric.model_validate(INCREASES)
    assert due(router, Tally(), since=100, now=100)
    assert not due(gauge, Tally(), since=100, now=119)
    assert due(gauge, Tally(), since=100, now=120)  # 5 to wait, and a scrape
    assert not due(increases, Tally(), since=100, now=174)
    assert due(increases, Tally(), since=100, now=175)
    assert not due(gauge, Tally(at=200), since=100, now=259)
    assert due(gauge, Tally(at=200, errors_in_row=1), since=100, now=210)
    assert due(router, Tally(at=200), since=100, now=203, last_look=True)


def test_a_window_that_could_not_be_read_is_read_with_the_next() -> None:
    """An error moves the next try, and not the place where its window begins."""
    asked = Metric.model_validate(INCREASES)
    first = record(asked, Tally(), Increase(Count(1, 0), Count(9, 0)), at=175.0, until=160.0)
    failed = record(asked, first, Unreadable("down"), at=235.0, until=220.0)
    assert (failed.at, failed.until) == (235.0, 160.0)


def test_a_clock_that_was_set_back_stops_no_measurement() -> None:
    """It is asked at once, rather than when the old time comes again."""
    assert due(metric(), Tally(at=5000), since=100, now=200)


rows = st.lists(
    st.one_of(
        st.builds(Said, st.booleans(), st.text(max_size=5)),
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
    assert "\n" not in str(found)


pairs = st.integers(0, 60).flatmap(lambda n: st.builds(Count, st.just(n), st.integers(0, n)))


@given(st.lists(st.builds(Increase, pairs, pairs), max_size=10))
def test_any_counts_give_a_finding_with_numbers(readings: list[Reading]) -> None:
    """No division by nothing, no overflow; and the tally survives being written down."""
    asked = Metric.model_validate(INCREASES)
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
