"""Did it work? From made-up records."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dags_examples.demo.checks import LEAD_S, TAIL_S, Check, Outcome, Split, checks, exit_code, split
from dags_examples.demo.traffic import Record, Sample
from dags_examples.demo.watch import Held

GOOD = Outcome(primary="v2", living=["v2"], promoted=True, taken_back=True, left_processes=[])
ANSWER = Sample(0, 0.01, 200, "v2", right=True)


@pytest.mark.parametrize("weight", [10, 50])
@pytest.mark.parametrize("requests", [70, 200, 1000])
def test_an_honest_router_passes(weight, requests):
    """Even one that throws dice is within the sampling error, but for one time in some thousand (exact binomial)."""
    p = weight / 100
    odds = [math.comb(requests, k) * p**k * (1 - p) ** (requests - k) for k in range(requests + 1)]
    outside = sum(odds[k] for k in range(requests + 1) if not Split("v2", weight, requests, k).fits)
    assert outside < 1 / 2000


@given(st.integers(1, 99), st.integers(20, 3000))
def test_a_router_that_takes_turns_passes(weight, requests):
    """As near as whole requests allow is always near enough."""
    assert Split("v2", weight, requests, round(requests * weight / 100)).fits


@pytest.mark.parametrize(("weight", "got"), [(10, 150), (10, 50), (50, 430), (100, 998), (10, 0)])
def test_a_router_that_splits_wrongly_fails(weight, got):
    """Of a thousand requests, five points more or less are seen; at 100 %, two requests."""
    assert not Split("v2", weight, 1000, got).fits


def test_too_few_requests_show_nothing():
    """Three of thirty would fit, one of ten proves nothing."""
    assert not Split("v2", 10, 10, 1).fits
    assert not Split("v2", 10, 0, 0).fits


def test_edges_of_a_weight_are_left_out():
    """What was sent while the router may not have followed yet counts for neither weight."""
    times = [0.0, LEAD_S - 0.1, LEAD_S + 0.1, 10 - TAIL_S - 0.1, 10 - TAIL_S + 0.1]
    record = Record([replace(ANSWER, at=at) for at in times])
    assert split([Held({"v1": 50, "v2": 50}, 0, 10)], record, "v2", 50).requests == 2


def test_only_the_weight_that_is_asked_for_counts():
    """Each step is measured by itself, also when it came twice."""
    held = [
        Held({"v1": 90, "v2": 10}, 0, 10),
        Held({"v1": 50, "v2": 50}, 10, 20),
        Held({"v1": 90, "v2": 10}, 20, 30),
    ]
    record = Record([replace(ANSWER, at=at) for at in (5, 15, 16, 25)])
    assert split(held, record, "v2", 10).requests == 2
    assert split(held, record, "v2", 50).requests == 2


def test_all_good_is_zero():
    """A run in which everything was as it should be ends with exit code 0."""
    answers = checks(GOOD, [Split("v2", 10, 1000, 100)], [ANSWER, Sample(0, 0.01, 500, "v3")])
    assert exit_code(answers) == 0


@pytest.mark.parametrize(
    "outcome",
    [
        replace(GOOD, primary="v1"),
        replace(GOOD, promoted=False),
        replace(GOOD, taken_back=False),
        replace(GOOD, living=["v2", "v3"]),
        replace(GOOD, left_processes=["router (pid 7)"]),
    ],
)
def test_each_fault_of_the_outcome_is_one(outcome):
    """None of the outcome's faults goes unseen, and each spoils exactly its own answer."""
    answers = checks(outcome, [], [ANSWER])
    assert sum(not check.good for check in answers) == 1
    assert exit_code(answers) == 1


@pytest.mark.parametrize(
    "samples", [[], [ANSWER, Sample(0, 30.0, 0, detail="ReadTimeout")], [Sample(0, 0.01, 500, "v2")]]
)
def test_each_fault_of_the_requests_is_one(samples):
    """No requests, a dropped one, or one that the good version failed: not a good run."""
    assert exit_code(checks(GOOD, [], samples)) == 1


def test_a_wrong_split_is_a_fault():
    """A share off its weight spoils the run, with the numbers beside it."""
    bad = next(check for check in checks(GOOD, [Split("v2", 10, 1000, 300)], [ANSWER]) if not check.good)
    assert "300 of 1,000" in bad.numbers


def test_nothing_asked_is_nothing_shown():
    """No answers at all is no success."""
    assert exit_code([]) == 1
    assert exit_code([Check("?", good=True, numbers="")]) == 0


def test_dropped_requests_are_quoted():
    """The first loss is shown, for whoever has to find out why."""
    samples = [ANSWER, Sample(0, 0, 503, detail="no version")]
    assert any("503 no version" in check.numbers for check in checks(GOOD, [], samples))
