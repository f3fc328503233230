"""Prometheus, spoken to by hand."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from anyservice_core.effects import Reply
from anyservice_core.errors import ConfigError, DecodeError, TransportError
from anyservice_core.metrics import (
    Count,
    Increase,
    Level,
    Prometheus,
    Unreadable,
    measure,
    measure_prometheus,
)
from tests.metrics.talking import TARGET, answer, converse

GAUGE = Prometheus(address="http://prometheus:9090/", query='max(mem{v="{{ canary.id }}"})')
COUNTS = Prometheus(
    address="http://prometheus:9090",
    errors='sum(increase(bad{v="{{version.name}}"}[{{ window }}]))',
    requests='sum(increase(all{v="{{version.name}}"}[{{ window }}]))',
)


def sample(value: Any) -> Reply:
    result = [] if value is None else [{"metric": {}, "value": [1, value]}]
    return answer({"status": "success", "data": {"resultType": "vector", "result": result}})


def test_a_query_brings_one_number() -> None:
    """The names in the query are filled in, and the address is not the control plane's."""
    (request,), reading = converse(measure(GAUGE, TARGET, compare=False), sample("0.25"))
    assert reading == Level(0.25)
    assert (request.method, request.path) == ("GET", "http://prometheus:9090/api/v1/query")
    assert request.params == {"query": 'max(mem{v="srv_new"})', "time": "1700000059.500"}
    assert (request.timeout_s, request.max_bytes) == (10.0, 1 << 20)


def test_counts_are_asked_for_each_version() -> None:
    """Requests and errors of the canary, then of the primary; a name cannot break out of its quotes."""
    replies = [sample("120.4"), sample("3"), sample("1080"), sample(None)]
    asked, reading = converse(measure_prometheus(COUNTS, TARGET), *replies)
    assert reading == Increase(Count(120, 3), Count(1080, 0))
    queries = [request.params["query"] for request in asked]
    assert queries[0] == 'sum(increase(all{v="r-2"}[59s]))'
    assert queries[3] == 'sum(increase(bad{v="odd\\"name"}[59s]))'


def test_more_errors_than_requests_are_cut_to_sense() -> None:
    """Two queries see two moments, and extrapolate."""
    _, reading = converse(
        measure_prometheus(COUNTS, TARGET), sample("2"), sample("3"), sample("0"), sample("0")
    )
    assert reading == Increase(Count(2, 2), Count(0, 0))


@pytest.mark.parametrize("value", [None, "NaN", "+Inf"])
def test_no_sample_is_no_data_and_no_outage(value: str | None) -> None:
    """An empty vector and NaN mean that there is nothing to say."""
    _, reading = converse(measure_prometheus(GAUGE, TARGET), sample(value))
    assert reading == Level(None)


def test_a_number_that_is_no_count_is_no_verdict() -> None:
    """NaN, less than none, and errors of other requests: a query that is wrong must not condemn or pass anyone."""
    wrong = [
        (["NaN", "0"], "no counts"),
        (["100", "-3"], "increase()"),
        (["10", "4000"], "the same requests"),
    ]
    for replies, said in wrong:
        _, reading = converse(measure_prometheus(COUNTS, TARGET), *map(sample, replies))
        assert isinstance(reading, Unreadable)
        assert said in reading.why


def test_windows_follow_one_another_in_whole_seconds() -> None:
    """The time that is asked for is the window's end, wherever the clock is by then."""
    later = replace(TARGET, at=1_700_000_120.0, window_s=60.0)
    asked, _ = converse(measure_prometheus(COUNTS, later), *[sample("1")] * 4)
    assert {request.params["time"] for request in asked} == {"1700000120.000"}
    assert all("[60s]" in request.params["query"] for request in asked)


def test_a_secret_is_named_in_the_plan_and_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the header, and neither in the source's text nor in its values; and it is not redirected elsewhere."""
    headers = {"Authorization": {"env": "PROM_TOKEN", "prefix": "Bearer "}, "X-Scope-OrgID": "shop"}
    guarded = Prometheus.model_validate({**GAUGE.model_dump(), "headers": headers})
    monkeypatch.setenv("PROM_TOKEN", "s3cret\n")
    (request,), reading = converse(measure_prometheus(guarded, TARGET), sample("0.25"))
    assert reading == Level(0.25)
    assert request.headers == {"Authorization": "Bearer s3cret", "X-Scope-OrgID": "shop"}
    assert not request.redirects
    shown = [repr(guarded), repr(request), json.dumps(guarded.model_dump(mode="json"))]
    assert not any("s3cret" in text for text in shown)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (TransportError("connection refused"), "connection refused"),
        (DecodeError("The answer to GET http://p/a is longer than 1048576 bytes."), "longer"),
        (ConfigError("http:///a is not a web address that can be asked."), "web address"),
        (answer({"status": "error", "error": "parse error at char 5"}, 400), "parse error"),
        (Reply(502, b"<html>bad gateway</html>"), "HTTP 502"),
        (Reply(200, b"[]"), "no JSON object"),
        (answer({"status": "success", "data": []}), "without a result"),
        (
            answer({"status": "success", "data": {"resultType": "vector", "result": [{}, {}]}}),
            "wrap it in sum",
        ),
        (answer({"status": "success", "data": {"resultType": "vector", "result": [{}]}}), "no number"),
    ],
)
def test_what_cannot_be_read_says_why(reply: Reply | Exception, said: str) -> None:
    """It becomes part of the report, so it names the cause."""
    _, reading = converse(measure_prometheus(GAUGE, TARGET), reply)
    assert isinstance(reading, Unreadable)
    assert said in reading.why


def test_a_scalar_is_a_number_too() -> None:
    """Some expressions are no vectors."""
    data = {"resultType": "scalar", "result": [1, "7"]}
    _, reading = converse(measure_prometheus(GAUGE, TARGET), answer({"status": "success", "data": data}))
    assert reading == Level(7.0)


content = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["success", "vector"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "data", "result", "resultType", "value"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(
    st.binary(max_size=30) | content.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([200, 400, 503]),
)
def test_any_answer_gives_a_reading(body: bytes, status: int) -> None:
    """A broken store never breaks a rollout."""
    _, reading = converse(measure_prometheus(GAUGE, TARGET), Reply(status, body))
    assert isinstance(reading, Level | Unreadable)


@pytest.mark.parametrize(
    "fields",
    [
        {"query": "up", "errors": "e", "requests": "r"},
        {"errors": "e"},
        {},
        {"query": "{{ version }}"},
        {"query": "up", "address": "prometheus:9090"},
        {"query": "up", "address": "http://me:s3cret@prometheus:9090"},
        {"errors": "bad", "requests": 'all{v="{{ version.id }}"}'},
        {"query": "up", "lag_s": -1},
        {"query": "up", "timeout_s": 0},
    ],
)
def test_a_source_that_asks_nothing_sensible_is_refused(fields: dict[str, str]) -> None:
    """One number, or two counts, at a web address."""
    with pytest.raises(ValidationError):
        Prometheus.model_validate({"address": "http://prometheus:9090", **fields})
