"""The statistics: exact where they can be, measured where they cannot."""

from collections.abc import Callable
from itertools import pairwise
from math import exp, log
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from anyservice_core.metrics import Count, Increase
from anyservice_core.rollout import RolloutPlan
from anyservice_core.rollout.evidence import (
    ABOVE,
    BELOW,
    BETTER,
    JUMP,
    WORSE,
    Window,
    dispersion,
    log_evidence,
    log_evidence_of_rate,
    total,
)
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.judge import judge
from anyservice_core.rollout.report import Phase
from anyservice_core.rollout.tally import Tally, record

LOOKS = 60
RUNS = 200
WORSE_THAN_EQUAL = log(1 / 0.05)


def poisson(random: Random, mean: float) -> int:
    """A Poisson number, by counting arrivals."""
    bound, count, product = exp(-mean), 0, random.random()
    while product > bound:
        count += 1
        product *= random.random()
    return count


def traffic(
    random: Random, ratio: float, *, burst: int = 1, level: Callable[[int], float] = lambda _: 1.0
) -> list[Window]:
    """An hour at 120 and 1,080 requests a minute, 0.5 % of the primary's answers bad, the canary ``ratio`` times that."""
    windows = []
    for minute in range(LOOKS):
        rate = 0.005 * level(minute)
        canary, primary = (
            burst * poisson(random, n * rate * r / burst) for n, r in ((120, ratio), (1080, 1.0))
        )
        windows.append(Window(120, min(canary, 120), 1080, min(primary, 1080)))
    return windows


def first_crossing(windows: list[Window], null: float, bar: float, *, known: bool = False) -> int | None:
    """The first of all looks at which the evidence for "worse" is enough."""
    grid = [null * ratio for ratio in WORSE]
    for look in range(1, len(windows) + 1):
        seen = windows[:look]
        if known and not seen[-1].canary_bad:  # then it can only have fallen
            continue
        if log_evidence(seen, null, grid, 1.0 if known else dispersion(seen)) >= bar:
            return look
    return None


def condemned(ratio: float, null: float, bar: float, seed: int, **how: object) -> list[int]:
    """In which minute each of the runs was condemned, for those that were."""
    random = Random(seed)
    known = bool(how.pop("known", False))
    runs = [first_crossing(traffic(random, ratio, **how), null, bar, known=known) for _ in range(RUNS)]  # type: ignore[arg-type]
    return [minute for minute in runs if minute is not None]


def test_identical_versions_looked_at_every_minute_are_hardly_ever_condemned() -> None:
    """Sixty looks at an innocent canary stay within the 5 % that were promised; a p-value would err at 20 %."""
    assert len(condemned(1.0, 1.0, WORSE_THAN_EQUAL, seed=1, known=True)) <= 0.05 * RUNS


def test_not_knowing_how_errors_scatter_condemns_nobody_either() -> None:
    """As plans have it by default, the scatter is learnt from the very windows that are judged."""
    assert len(condemned(1.0, 1.0, WORSE_THAN_EQUAL, seed=7)) <= 0.05 * RUNS


def test_an_incident_that_hits_both_sides_says_nothing_against_the_canary() -> None:
    """Four times the errors for ten minutes, on both: the level cancels out."""
    incident = condemned(
        1.0, 1.0, WORSE_THAN_EQUAL, seed=2, known=True, level=lambda t: 4.0 if 20 <= t < 30 else 1.0
    )
    assert len(incident) <= 0.05 * RUNS


def test_errors_in_clumps_are_not_taken_for_evidence() -> None:
    """Bursts of five would condemn every third innocent canary if their scatter were not learnt."""
    assert len(condemned(1.0, 1.0, WORSE_THAN_EQUAL, seed=3, known=True, burst=5)) >= 0.2 * RUNS
    assert len(condemned(1.0, 1.0, WORSE_THAN_EQUAL, seed=3, burst=5)) <= 0.05 * RUNS


def test_a_canary_five_times_worse_is_found_within_minutes() -> None:
    """With the default tolerance of 2, four steps and the scatter still unknown."""
    minutes = sorted(condemned(5.0, 2.0, log(4 / 0.05), seed=4))
    assert len(minutes) >= 0.99 * RUNS
    assert minutes[len(minutes) // 2] <= 20


@pytest.mark.parametrize(("dispersion", "minute"), [(1, 1), ("auto", 2)])
def test_a_canary_ten_times_worse_is_found_at_once(dispersion: object, minute: int) -> None:
    """Through tally and judge, as in a rollout that tolerates no difference: at the first look, in doubt at the second."""
    random = Random(8)
    minutes = sorted(minute_of_failure(traffic(random, 10.0), dispersion) for _ in range(RUNS))
    assert minutes[RUNS // 2] <= minute + 1
    assert minutes[-1] <= 10


def minute_of_failure(windows: list[Window], dispersion: object) -> int:
    """When judge calls the canary of one metric and one step worse; 61 if never."""
    compare = {"max_ratio": 1, "max_rate": None, "dispersion": dispersion}
    metric = {"name": "errors", "provider": "router", "compare": compare}
    plan = RolloutPlan.parse({"steps": [10], "metrics": [metric]})
    journal, tally = Journal(rollout_key="k", version_name="v", weight=10), Tally()
    for minute, w in enumerate(windows, start=1):
        reading = Increase(Count(w.canary_n, w.canary_bad), Count(w.primary_n, w.primary_bad))
        tally = record(plan.metrics[0], tally, reading, 60.0 * minute)
        if judge(plan, journal.replace(tallies={"errors": tally})).phase is Phase.FAILED:
            return minute
    return LOOKS + 1


def test_a_canary_of_equal_quality_passes() -> None:
    """Most of them within the hour, by the comparison alone."""
    random, passed = Random(5), 0
    for _ in range(RUNS):
        windows = traffic(random, 1.0)
        grid = range(10, LOOKS + 1, 5)
        passed += any(
            log_evidence(windows[:n], 2.0, BETTER, dispersion(windows[:n])) >= log(20) for n in grid
        )
    assert passed >= 0.8 * RUNS


def test_a_canary_at_the_tolerated_ratio_rarely_passes() -> None:
    """Twice as bad is not proven to be less than twice as bad, more than 5 times in a hundred."""
    random, passed = Random(6), 0
    for _ in range(RUNS):
        windows = traffic(random, 2.0)
        passed += any(log_evidence(windows[:n], 2.0, BETTER) >= log(20) for n in range(1, LOOKS + 1))
    assert passed <= 0.05 * RUNS


@pytest.mark.parametrize(("rate", "requests"), [(0.01, 354), (0.001, 3556)])
def test_so_many_requests_without_an_error_prove_a_rate(rate: float, requests: int) -> None:
    """Quiet services can be decided: the number of clean answers that is enough, to the request."""
    assert log_evidence_of_rate([Window(requests - 1, 0, 0, 0)], rate, BELOW) < log(20)
    assert log_evidence_of_rate([Window(requests, 0, 0, 0)], rate, BELOW) >= log(20)


def test_without_any_error_the_comparison_is_mute() -> None:
    """There is nothing to count, so nothing is claimed."""
    assert log_evidence([Window(1000, 0, 9000, 0)] * 10, 2.0, [4.0]) == 0.0


def test_a_side_without_requests_counts_nothing() -> None:
    """At weight 99, or on a quiet night, one side may be silent."""
    assert log_evidence([Window(0, 0, 50, 50), Window(50, 50, 0, 0)], 1.0, WORSE) == 0.0


def test_a_rising_error_level_with_a_rising_weight_condemns_nobody() -> None:
    """Simpson's paradox: pooled, this equal canary has twice the primary's rate; window by window it has not."""
    windows = [Window(100, 1, 900, 9), Window(900, 90, 100, 10)]
    pooled = total(windows)
    assert pooled.canary_bad / pooled.canary_n > 2 * pooled.primary_bad / pooled.primary_n
    assert log_evidence(windows, 1.0, WORSE) < 0
    assert log_evidence([pooled], 1.0, WORSE) > log(1000)


counts = st.integers(0, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
windows = st.lists(st.builds(lambda c, p: Window(*c, *p), counts, counts), max_size=8)


@given(windows, st.floats(1.0, 5.0))
def test_the_evidence_does_not_depend_on_the_order_of_windows(rows: list[Window], null: float) -> None:
    """Nor does it overflow or divide by nothing."""
    grid = [null * ratio for ratio in WORSE]
    assert log_evidence(rows, null, grid) == pytest.approx(log_evidence(rows[::-1], null, grid), abs=1e-9)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(1.0, 4.0), st.sampled_from(WORSE))
def test_one_bad_answer_is_a_fair_bet_at_the_tolerated_ratio(
    n_c: int, n_p: int, null: float, ratio: float
) -> None:
    """Whose the bad answer is, canary's or primary's: the mean evidence over both is 1, which is what makes it safe."""
    canary = null * n_c / (null * n_c + n_p)
    mine = exp(log_evidence([Window(n_c, 1, n_p, 0)], null, [null * ratio]))
    theirs = exp(log_evidence([Window(n_c, 0, n_p, 1)], null, [null * ratio]))
    assert canary * mine + (1 - canary) * theirs == pytest.approx(1.0)


@given(windows, st.floats(0, 5))
def test_the_scatter_is_never_below_one(rows: list[Window], doubt: float) -> None:
    """Less than chance is not believed, as it would sharpen the evidence."""
    assert dispersion(rows, doubt=doubt) >= 1.0


def test_an_incident_does_not_blind_the_test_to_a_bad_canary_after_it() -> None:
    """One minute in which everything failed is a jump of the level, not a reason to believe nothing any more."""
    calm, incident = Window(120, 1, 1080, 5), Window(120, 60, 1080, 540)
    bad = Window(120, 12, 1080, 5)
    rows = [*[calm] * 5, incident, *[calm] * 5, *[bad] * 10]
    assert dispersion(rows) < 6
    assert log_evidence(rows[6:], 2.0, [2.0 * ratio for ratio in WORSE], dispersion(rows)) > log(80)


@pytest.mark.parametrize("bad", [[3, 2, 4, 3, 2, 3], [0, 15, 0, 0, 15, 0] * 3])
def test_a_primary_without_errors_does_not_keep_the_doubt_alive(bad: list[int]) -> None:
    """A fifth of the answers bad, one by one, is found in six windows of 15 requests; outages take a few more."""
    rows = [Window(15, count, 135, 0) for count in bad]
    assert log_evidence(rows, 2.0, [2.0 * ratio for ratio in WORSE], dispersion(rows)) > log(40)


# ── scipy as an oracle ──────────────────────────────────────────────────────

CLOSE = {"rel": 1e-7, "abs": 1e-7}
unhurried = settings(deadline=None)  # an oracle may take its time on a busy machine
ratios = st.floats(0.05, 30.0)
rates = st.floats(0.0005, 0.9)


def mean_of_grid(scores: list[float]) -> float:
    return float(special.logsumexp(scores) - log(len(scores)))


def share(ratio: float, window: Window) -> float:
    return ratio * window.canary_n / (ratio * window.canary_n + window.primary_n)


@unhurried
@given(windows, st.floats(1.0, 5.0), st.lists(ratios, min_size=1, max_size=7), st.floats(1.0, 20.0))
def test_evidence_is_what_binomial_likelihoods_say(
    rows: list[Window], null: float, grid: list[float], scatter: float
) -> None:
    """Whose each bad answer is, is a binomial draw; the grid's mean of the tempered likelihood ratios is the evidence."""
    both = [row for row in rows if row.canary_n and row.primary_n]

    def likelihood(ratio: float) -> float:
        bad, canary_bad = [w.canary_bad + w.primary_bad for w in both], [w.canary_bad for w in both]
        return sum(stats.binom.logpmf(canary_bad, bad, [share(ratio, w) for w in both]))

    expected = mean_of_grid([(likelihood(ratio) - likelihood(null)) / scatter for ratio in grid])
    assert log_evidence(rows, null, grid, scatter) == pytest.approx(expected, **CLOSE)


@unhurried
@given(windows, st.floats(1.0, 5.0), ratios)
def test_evidence_is_what_poisson_likelihoods_say(rows: list[Window], null: float, ratio: float) -> None:
    """Two Poisson counts under each ratio, at the error level that fits the window best: the level cancels out."""

    def likelihood(r: float, w: Window) -> float:
        bad = w.canary_bad + w.primary_bad
        canary, primary = bad * share(r, w), bad * (1 - share(r, w))
        return stats.poisson.logpmf(w.canary_bad, canary) + stats.poisson.logpmf(w.primary_bad, primary)

    both = [row for row in rows if row.canary_n and row.primary_n]
    expected = sum(likelihood(ratio, w) - likelihood(null, w) for w in both)
    assert log_evidence(rows, null, [ratio]) == pytest.approx(float(expected), **CLOSE)


@unhurried
@given(windows, rates, st.sampled_from([BELOW, ABOVE]), st.floats(1.0, 20.0))
def test_evidence_of_a_rate_is_what_binomial_likelihoods_say(
    rows: list[Window], null: float, multiples: tuple[float, ...], scatter: float
) -> None:
    """The canary's own counts, under each rate of the grid and under the rate that is tolerated."""
    seen = total(rows)
    alternatives = [min(null * multiple, 1 - 1e-9) for multiple in multiples]
    likelihoods = [stats.binom.logpmf(seen.canary_bad, seen.canary_n, rate) for rate in (*alternatives, null)]
    scores = [(likelihood - likelihoods[-1]) / scatter for likelihood in likelihoods[:-1]]
    expected = mean_of_grid(scores)
    assert log_evidence_of_rate(rows, null, multiples, scatter) == pytest.approx(expected, **CLOSE)


@unhurried
@given(windows)
def test_the_scatter_is_the_mean_chi_square_of_neighbours(rows: list[Window]) -> None:
    """Each pair of neighbouring windows is a table of two by two, on either side; an incident is cut off."""
    sides = ([(w.canary_n, w.canary_bad) for w in rows], [(w.primary_n, w.primary_bad) for w in rows])
    tables = [
        [[bad, n - bad], [next_bad, next_n - next_bad]]
        for side in sides
        for (n, bad), (next_n, next_bad) in pairwise(side)
    ]
    whole = [t for t in tables if all(map(sum, t)) and all(map(sum, zip(*t, strict=True)))]
    surprises = [min(JUMP, stats.chi2_contingency(table, correction=False).statistic) for table in whole]
    expected = max(1.0, fmean(surprises)) if surprises else 1.0
    assert dispersion(rows, doubt=0.0) == pytest.approx(expected, **CLOSE)
