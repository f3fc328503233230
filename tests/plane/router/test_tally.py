"""How counters add up."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.plane.router.haproxy import parse_stat
from anyservice_core.plane.router.tally import Reading, Tally, attach, counted, fold, told_apart

SEAT = "svc/a"


def reading(n, worker="w1", seat=SEAT):
    return Reading(worker, {seat: {"2xx": n}}, {})


def seated(version="v1"):
    return attach(Tally(), {SEAT: version}, lambda: "first")


def total(tally):
    return tally.totals[SEAT].responses.get("2xx", 0)


@given(st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1, max_size=5))
def test_no_count_is_lost_or_doubled_over_any_number_of_workers(lives):
    """Each worker counts from zero; the total is what all of them answered."""
    tally = seated()
    for number, gains in enumerate(lives):
        for count in itertools.accumulate(gains):
            tally = fold(tally, [reading(count, f"w{number}")])
    assert total(tally) == sum(map(sum, lives))


def test_old_worker_is_counted_until_it_goes():
    """What a worker still answers after a reload belongs to the total as well."""
    tally = fold(seated(), [reading(10, "old")])
    tally = fold(tally, [reading(3, "new"), reading(12, "old")])
    tally = fold(tally, [reading(5, "new")])
    assert total(tally) == 17


def test_tally_goes_on_from_its_file():
    """A plane that starts again adds only what came since the last reading."""
    tally = fold(seated(), [reading(10)])
    again = Tally.from_dict(json.loads(json.dumps(tally.to_dict())))
    assert again == tally
    assert total(fold(again, [reading(11)])) == 11


def test_another_version_starts_at_zero_with_another_incarnation():
    """The next version in a seat inherits nothing, and a reader can tell."""
    before = fold(seated("v1"), [reading(10)])
    after = attach(before, {SEAT: "v2"}, lambda: "new")
    assert total(after) == 0
    assert after.totals[SEAT].incarnation != before.totals[SEAT].incarnation
    assert total(fold(after, [reading(11)])) == 1


def test_same_version_keeps_its_total():
    """Attaching what is attached changes nothing."""
    tally = fold(seated("v1"), [reading(10)])
    assert attach(tally, {SEAT: "v1"}, lambda: "new") == tally


def test_a_seat_missing_from_one_answer_is_not_counted_twice():
    """An answer that was cut short must not make the next one look like all new."""
    tally = fold(seated(), [reading(10)])
    tally = fold(tally, [Reading("w1", {}, {})])
    assert total(fold(tally, [reading(11)])) == 11


def test_refused_and_broken_requests_are_none():
    """No answer is one kind of response: broken off (the table, or in silence) or refused (redispatched)."""
    stat = {"hrsp_2xx": "5", "hrsp_5xx": "2", "wredis": "3", "srv_abrt": "1", "hrsp_1xx": "", "eresp": "9"}
    assert counted(stat, 4) == {"1xx": 0, "2xx": 5, "3xx": 0, "4xx": 0, "5xx": 2, "none": 8}


def test_answers_and_their_times_are_told_apart():
    """A seat's line and its two entries become one count each, and answers are not counted with buckets."""
    counts = counted({"hrsp_2xx": "3", "wredis": "1"}, 2, [1, 2, *[3] * 8, 3, 40])
    answers, took = told_apart(counts)
    assert answers == {"1xx": 0, "2xx": 3, "3xx": 0, "4xx": 0, "5xx": 0, "none": 3}
    assert (took["le_5"], took["le_10"], took["le_10000"], took["count"], took["sum_ms"]) == (1, 2, 3, 3, 40)


def test_a_seat_without_an_entry_has_no_times():
    """Before its first answer a version has no histogram."""
    assert told_apart(counted({}, 0))[1] == {}


def test_what_was_answered_by_grpc_is_added_to_the_rest():
    """One version, two seats at the router, one count."""
    text = (
        "# pxname,svname,scur,wredis,srv_abrt,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx\n"
        "grpc:svc,a,1,0,2,0,7,0,1,0\n"
        "svc,a,2,1,1,0,30,0,0,\n"
        "svc,b,0,0,0,0,1,0,0,0\n"
    )
    stats = parse_stat(text)
    assert set(stats) == {"svc/a", "svc/b"}
    row = stats["svc/a"]
    assert row["srv_abrt"] == "3"
    assert (row["scur"], row["wredis"], row["hrsp_2xx"], row["hrsp_4xx"], row["hrsp_5xx"]) == (
        "3",
        "1",
        "37",
        "1",
        "0",
    )
