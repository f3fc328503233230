"""Prometheus, spoken to by hand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from anyservice_core.effects import Op, Reply, Request
from anyservice_core.errors import TransportError
from anyservice_core.metrics import (
    Count,
    Increase,
    Level,
    Prometheus,
    Reading,
    Target,
    Unreadable,
    measure_prometheus,
)

TARGET = Target(
    service_id="service2_1",
    canary_id="srv_new",
    canary_name="r-2",
    primary_id="srv_old",
    primary_name='odd"name',
    window_s=59.2,
)
GAUGE = Prometheus(address="http://prometheus:9090/", query='max(mem{v="{{ canary.id }}"})')
COUNTS = Prometheus(
    address="http://prometheus:9090",
    errors='sum(increase(bad{v="{{version.name}}"}[{{ window }}]))',
    requests='sum(increase(all{v="{{version.name}}"}[{{ window }}]))',
)


def sample(value: Any) -> Reply:
    result = [] if value is None else [{"metric": {}, "value": [1, value]}]
    return answer({"status": "success", "data": {"resultType": "vector", "result": result}})


def answer(content: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content).encode())


def converse(op: Op[Reading], *replies: Reply | Exception) -> tuple[list[Request], Reading]:
    """Hold the conversation: each request gets the next reply."""
    asked, waiting = [], iter(replies)
    effect = next(op)
    while True:
        assert isinstance(effect, Request)
        asked.append(effect)
        reply = next(waiting)
        try:
            effect = op.throw(reply) if isinstance(reply, Exception) else op.send(reply)
        except StopIteration as stop:
            return asked, stop.value


def test_a_query_brings_one_number() -> None:
    """The names in the query are filled in, and the address is not the control plane's."""
    (request,), reading = converse(measure_prometheus(GAUGE, TARGET), sample("0.25"))
    assert reading == Level(0.25)
    assert (request.method, request.path) == ("GET", "http://prometheus:9090/api/v1/query")
    assert request.params == {"query": 'max(mem{v="srv_new"})'}
    assert request.timeout_s == 10.0


def test_counts_are_asked_for_each_version() -> None:
    """Requests and errors of the canary, then of the primary; a name cannot break out of its quotes."""
    replies = [sample("120.4"), sample("3"), sample("1080"), sample(None)]
    asked, reading = converse(measure_prometheus(COUNTS, TARGET), *replies)
    assert reading == Increase(Count(120, 3), Count(1080, 0))
    queries = [request.params["query"] for request in asked]
    assert queries[0] == 'sum(increase(all{v="r-2"}[60s]))'
    assert queries[3] == 'sum(increase(bad{v="odd\\"name"}[60s]))'


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


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (TransportError("connection refused"), "connection refused"),
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
    ],
)
def test_a_source_that_asks_nothing_sensible_is_refused(fields: dict[str, str]) -> None:
    """One number, or two counts, at a web address."""
    with pytest.raises(ValidationError):
        Prometheus.model_validate({"address": "http://prometheus:9090", **fields})
