"""Any JSON over HTTP, spoken to by hand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from anyservice_core.effects import Reply
from anyservice_core.errors import DecodeError, TransportError
from anyservice_core.metrics import Count, FromEnv, Increase, Level, Unreadable, Web, measure, measure_web
from anyservice_core.metrics.providers import provider, spelled
from anyservice_core.rollout import RolloutPlan
from tests.metrics.talking import TARGET, answer, converse

URL = "http://store.test/api"
GAUGE = Web(url=f"{URL}?v={{{{ version.name }}}}", value="data[0].p99")
COUNTS = Web(url=f"{URL}?v={{{{ version.id }}}}", errors="bad", requests="all")


def test_a_path_leads_to_one_number() -> None:
    """The address is filled in, fit for an address; the answer is bounded."""
    (request,), reading = converse(measure(GAUGE, TARGET, compare=False), answer({"data": [{"p99": 0.25}]}))
    assert reading == Level(0.25)
    assert (request.method, request.path, request.json) == ("GET", f"{URL}?v=r-2", None)
    assert (request.timeout_s, request.max_bytes) == (10.0, 1 << 20)


def test_counts_are_asked_for_each_version() -> None:
    """Twice, where the address names the version."""
    asked, reading = converse(
        measure_web(COUNTS, TARGET), answer({"bad": 3, "all": 120}), answer({"bad": 0, "all": 1080})
    )
    assert reading == Increase(Count(120, 3), Count(1080, 0))
    assert [request.path for request in asked] == [f"{URL}?v=srv_new", f"{URL}?v=srv_old"]


def test_one_answer_may_tell_of_both_versions() -> None:
    """It is asked once where only the paths name the version, and a name cannot end its quotes."""
    one = Web(
        url=URL,
        errors="versions[?name=='{{ version.name }}'].bad | [0] || `0`",
        requests="versions[?name=='{{ version.name }}'].all | [0]",
    )
    versions = [{"name": "r-2", "bad": 3, "all": 120}, {"name": 'odd"name', "all": 1080}]
    asked, reading = converse(measure_web(one, TARGET), answer({"versions": versions}))
    assert reading == Increase(Count(120, 3), Count(1080, 0))
    assert len(asked) == 1


def test_a_body_is_posted_with_its_names_filled_in() -> None:
    """As many stores want it."""
    posted = Web(
        url=URL,
        method="POST",
        body={"from": "{{ window.start }}", "query": "p99 of {{ version.id }}"},
        value="p99",
    )
    (request,), _ = converse(measure_web(posted, TARGET), answer({"p99": 1}))
    assert request.method == "POST"
    assert request.json == {"from": 1_700_000_000, "query": "p99 of srv_new"}


def test_a_secret_goes_into_a_header_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read when it is needed; one that is not there is told by its name."""
    guarded = Web(url=URL, value="a", headers={"X-Api-Key": {"env": "STORE_KEY"}})  # type: ignore[dict-item]
    monkeypatch.setenv("STORE_KEY", "s3cret")
    (request,), _ = converse(measure_web(guarded, TARGET), answer({"a": 1}))
    assert request.headers == {"X-Api-Key": "s3cret"}
    assert not request.redirects
    assert "s3cret" not in repr(request) + repr(guarded) + json.dumps(guarded.model_dump(mode="json"))
    for bad, said in (("", "not set here"), ("s3cret\x00x", "no header may hold")):
        monkeypatch.setattr("os.environ", {"STORE_KEY": bad})
        asked, reading = converse(measure_web(guarded, TARGET))
        assert isinstance(reading, Unreadable)
        assert said in reading.why
        assert "STORE_KEY" in reading.why
        assert "s3cret" not in reading.why
        assert not asked


@pytest.mark.parametrize("found", [None, float("nan"), float("inf")])
def test_null_is_no_data_and_no_outage(found: Any) -> None:
    """So is what is no finite number."""
    assert converse(measure_web(GAUGE, TARGET), answer({"data": [{"p99": found}]}))[1] == Level(None)


def test_errors_that_are_not_there_are_not_taken_for_none() -> None:
    """A path that leads nowhere would pass every canary; no requests are none all the same."""
    _, reading = converse(measure_web(COUNTS, TARGET), answer({"all": 120}), answer({"all": 1080}))
    assert isinstance(reading, Unreadable)
    assert "bad || `0`" in reading.why
    _, nobody = converse(measure_web(COUNTS, TARGET), answer({}), answer({"all": 0, "bad": 0}))
    assert nobody == Increase(Count(0, 0), Count(0, 0))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (TransportError("No answer to GET http://store.test/api: refused."), "refused"),
        (DecodeError("The answer to GET http://store.test/api is longer than 1048576 bytes."), "longer"),
        (Reply(502, b"<html>"), "http://store.test/api answered with HTTP 502"),
        (Reply(401, b"{}"), "look at `headers`"),
        (Reply(302, b""), "HTTP 302"),
        (Reply(200, b"<html>"), "no JSON"),
        (Reply(200, b"[" * 100_000), "no JSON"),
        (
            answer({"data": [{"p99": "0.5"}]}),
            "a text where one number is needed: write to_number(data[0].p99)",
        ),
        (answer({"data": [{"p99": [1, 2]}]}), "a list of 2"),
        (answer({"data": [{"p99": {}}]}), "an object"),
        (answer({"data": [{"p99": True}]}), "true where one number"),
    ],
)
def test_what_cannot_be_read_says_why(reply: Reply | Exception, said: str) -> None:
    """It names the place without its query, and the way out."""
    _, reading = converse(measure_web(GAUGE, TARGET), reply)
    assert isinstance(reading, Unreadable)
    assert said in reading.why
    assert "v=r-2" not in reading.why


def test_a_path_that_does_not_fit_the_answer_is_no_verdict() -> None:
    """JMESPath has functions, which refuse what is of another kind."""
    summed = Web(url=URL, value="sum(data)")
    _, reading = converse(measure_web(summed, TARGET), answer({"data": "x"}))
    assert isinstance(reading, Unreadable)
    assert "'sum(data)' does not fit the answer" in reading.why


content = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "p99", "all", "bad"]), inner)
    ),
    max_leaves=8,
)


@given(
    st.binary(max_size=30) | content.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([200, 204, 400, 503]),
)
def test_any_answer_gives_a_reading(body: bytes, status: int) -> None:
    """A broken store never breaks a rollout."""
    reply = Reply(status, body)
    assert isinstance(converse(measure_web(GAUGE, TARGET), reply)[1], Level | Unreadable)
    op = measure_web(COUNTS, TARGET)
    next(op)
    try:
        op.send(reply)
        op.send(reply)
    except StopIteration as stop:
        assert isinstance(stop.value, Increase | Unreadable)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "either `value`, or both"),
        ({"value": "a", "errors": "b", "requests": "c"}, "either `value`, or both"),
        ({"errors": "b"}, "either `value`, or both"),
        ({"value": "a["}, "no JMESPath"),
        ({"value": ""}, "no JMESPath"),
        ({"value": "{{ nope }}"}, "unknown name"),
        ({"value": "a", "url": "store.test/api"}, "no web address"),
        ({"value": "a", "url": "me:s3cret@store.test"}, "it is no web address"),
        ({"value": "a", "url": "http://me:s3cret@store.test"}, "leave it out"),
        ({"value": "a", "url": "http://store.test?api_key=s3cret"}, "'api_key' in the address"),
        ({"value": "a", "url": "http://store.test/{{ nope }}"}, "unknown name"),
        ({"value": "a", "body": {}}, "a GET has no body"),
        ({"value": "a", "body": ["{{ nope }}"], "method": "POST"}, "unknown name"),
        ({"errors": "b", "requests": "c"}, "the same counts"),
        ({"errors": 'b."{{ version.id }}"', "requests": "c"}, "the same counts"),
        ({"value": "a", "method": "PUT"}, "GET"),
        ({"value": "a", "timeout_s": 0}, "greater than 0"),
        ({"value": "a", "headers": {"Authorization": "Bearer s3cret"}}, "{env: NAME}"),
        ({"value": "a", "headers": {"X": 5}}, "write a text"),
        ({"value": "a", "headers": {"X": {"evn": "A"}}}, "{env: NAME"),
        ({"value": "a", "headers": {"X": {"env": "not a name"}}}, "{env: NAME"),
        ({"value": "a", "headers": {"X Y": "z"}}, "no name of a header"),
        ({"value": "a", "headers": {"X": "line\nbreak"}}, "printable"),
        ({"value": "a", "headers": ["X"]}, "mapping"),
    ],
)
def test_a_source_that_asks_nothing_sensible_is_refused(fields: dict[str, Any], said: str) -> None:
    """What is wrong is told, and no secret with it."""
    with pytest.raises(ValidationError) as caught:
        provider({"web": {"url": URL, **fields}})
    message = "; ".join(fault["msg"] for fault in caught.value.errors())
    assert said in message
    assert "s3cret" not in message


def test_a_plan_made_in_python_may_hold_the_models_themselves() -> None:
    """They are what the mappings stand for."""
    made = Web(url=URL, value="a", headers={"Authorization": FromEnv(env="A", prefix="Bearer ")})
    written = {
        "web": {"url": URL, "value": "a", "headers": {"Authorization": {"env": "A", "prefix": "Bearer "}}}
    }
    assert provider(made) is made
    assert provider(written) == made
    assert provider(spelled(made)) == made
    assert spelled("router") == provider({"router": None}) == "router"


def test_the_schema_of_a_plan_says_how_a_provider_is_written() -> None:
    """Editors and forms are made from it."""
    schema = RolloutPlan.model_json_schema()
    named = schema["$defs"]["Metric"]["properties"]["provider"]["anyOf"]
    assert named[0]["enum"] == ["service", "router"]
    by_name = schema["$defs"][named[1]["$ref"].rpartition("/")[2]]["properties"]
    assert set(by_name) == {"prometheus", "web", "probe", "python"}


def test_what_a_source_looks_back_on_is_what_it_names() -> None:
    """A number of the present moment has no window to wait for."""
    assert not Web(url=URL, value="a").looks_back
    assert Web(url=f"{URL}?from={{{{ window.start }}}}", value="a", lag_s=30).looks_back
    assert Web(url=URL, value="a", lag_s=30).delay_s == 30
    assert COUNTS.looks_back
    assert COUNTS.brings_counts
    assert not GAUGE.brings_counts
