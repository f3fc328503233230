"""Requests to the service itself, spoken to by hand, and through a client of either colour."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from anyservice_core import AsyncClient, Client
from anyservice_core.effects import Reply
from anyservice_core.errors import DecodeError, TransportError
from anyservice_core.metrics import (
    Count,
    Expect,
    Increase,
    Level,
    Probe,
    Reading,
    Unreadable,
    measure,
    measure_probe,
)
from anyservice_core.metrics.providers import provider
from tests.metrics.talking import TARGET, converse

NEW, OLD = {"x-anyservice-version": "srv_new"}, {"x-anyservice-version": "srv_old"}


def good(headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    return Reply(200, b'{"label": "spam", "scores": [0.9, 0.1], "ok": true}', headers or NEW, **fields)


def probed(probe: Probe, *replies: Reply | Exception, compare: bool = False, weight: int = 10) -> Reading:
    return converse(measure(probe, replace(TARGET, weight=weight), compare=compare), *replies)[1]


def test_a_probe_goes_to_the_canary_with_the_service_s_token() -> None:
    """The header says which version is meant; it is neither followed elsewhere nor without bounds."""
    probe = Probe(path="/predict/{{ version.name }}", body={"v": "{{ version.id }}"}, timeout_s=2)
    (request,), reading = converse(measure_probe(probe, TARGET, compare=False), good())
    assert reading == Level(1.0)
    assert (request.method, request.path) == ("POST", "http://127.0.0.1:8700/predict/r-2")
    assert request.json == {"v": "srv_new"}
    assert request.headers == {"Authorization": "Bearer t0k3n", "x-anyservice-version": "srv_new"}
    assert (request.timeout_s, request.max_bytes, request.redirects) == (2, 1 << 20, False)
    assert "t0k3n" not in repr(request) + repr(TARGET)


def test_headers_of_one_s_own_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another door than the service's may want another token."""
    monkeypatch.setenv("DOOR", "mine")
    headers = {"Authorization": {"env": "DOOR", "prefix": "Key "}, "X-Tenant": "shop"}
    probe = Probe.model_validate({"headers": headers})
    (request,), _ = converse(
        measure_probe(probe, replace(TARGET, query_auth_token=None), compare=False), good()
    )
    assert (request.method, request.json) == ("GET", None)
    assert request.headers["Authorization"] == "Key mine"
    assert request.headers["X-Tenant"] == "shop"


def test_the_number_is_the_share_of_good_answers() -> None:
    """With what was wrong, the most frequent first."""
    bad, late = Reply(500, b"", NEW), TransportError("No answer.", timed_out=True)
    reading = probed(Probe(requests=5), good(), bad, late, bad, good())
    assert reading == Level(
        0.4, "3 of 5 bad: HTTP 500 where 200 to 299 is good (2 times); no answer within 10 s"
    )


def test_comparing_probes_both_versions() -> None:
    """So that what fails on both is nobody's fault in particular."""
    bad = Reply(503, b"", NEW)
    reading = probed(Probe(requests=2), good(), bad, good(OLD), good(OLD), compare=True)
    assert reading == Increase(Count(2, 1), Count(2, 0), "1 of 2 bad: HTTP 503 where 200 to 299 is good")


@pytest.mark.parametrize(
    ("expect", "reply", "said"),
    [
        ({}, Reply(302, b"", NEW), "HTTP 302 where 200 to 299 is good"),
        ({"status": 201}, good(), "HTTP 200 where 201 is good"),
        ({"status": [200, 404]}, Reply(404, b"", NEW), None),
        ({"latency_s": 0.5}, good(elapsed_s=0.51), "slower than 0.5 s"),
        ({"latency_s": 0.5}, good(elapsed_s=0.5), None),
        ({"contains": "spam"}, good(), None),
        ({"contains": "ham"}, good(), 'no "ham" in the answer'),
        ({"values": {"label": "spam", "length(scores)": 2, "ok": True}}, good(), None),
        ({"values": {"label": "ham"}}, good(), 'label is "spam" where "ham" is good'),
        ({"values": {"ok": 1}}, good(), "ok is true where 1 is good"),
        ({"values": {"nope": "x" * 80}}, good(), "nope is null where"),
        ({"values": {"length(ok)": 1}}, good(), "'length(ok)' does not fit the answer"),
        ({"values": {"label": "spam"}}, Reply(200, b"<html>", NEW), "the answer is no JSON"),
        ({}, Reply(200, b"", OLD), "another version answered"),
    ],
)
def test_an_answer_is_good_if_all_of_it_is(expect: dict[str, Any], reply: Reply, said: str | None) -> None:
    """Status, latency, a text in it, and values in it."""
    reading = probed(Probe(expect=Expect.model_validate(expect)), reply)
    assert isinstance(reading, Level)
    assert reading.value == (1.0 if said is None else 0.0)
    assert (said or "") in reading.why


def test_a_router_that_names_no_version_is_asked_as_users_ask() -> None:
    """It says something of the service as a whole; of a canary without users, or of one version, nothing."""
    anyone = Reply(200, b"", {})
    assert probed(Probe(), anyone) == Level(1.0)
    for options in ({"weight": 0}, {"compare": True}):
        reading = probed(Probe(), anyone, **options)  # type: ignore[arg-type]
        assert isinstance(reading, Unreadable)
        assert "does not say which version answered" in reading.why


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (TransportError("No answer to GET http://127.0.0.1:8700/: refused."), "refused"),
        (DecodeError("The answer to GET http://127.0.0.1:8700/ is longer than 1048576 bytes."), "longer"),
        (Reply(404, b'{"detail":"no such version takes requests here"}'), "does not know the version yet"),
        (Reply(401, b""), "wants another token"),
    ],
)
def test_what_is_in_the_way_is_no_verdict(reply: Reply | Exception, said: str) -> None:
    """The router and the door are not the canary."""
    reading = probed(Probe(), reply)
    assert isinstance(reading, Unreadable)
    assert said in reading.why


def test_a_service_without_an_address_cannot_be_probed() -> None:
    """It is still to come."""
    _, reading = converse(measure_probe(Probe(), replace(TARGET, query_url=""), compare=False))
    assert isinstance(reading, Unreadable)
    assert "no address" in reading.why


def test_401_may_be_what_is_good() -> None:
    """A check that the door is closed."""
    probe = Probe(expect=Expect(status=(401, 401)))
    assert probed(probe, Reply(401, b"", {})) == Level(1.0)


@given(
    st.integers(100, 599),
    st.binary(max_size=20) | st.just(b"{}"),
    st.sampled_from([{}, NEW, OLD]),
    st.booleans(),
)
def test_any_answer_gives_a_reading(status: int, body: bytes, by: dict[str, str], compare: bool) -> None:
    """A broken canary never breaks a rollout."""
    probe = Probe(expect=Expect(contains="a", values={"a": 1}))
    op = measure_probe(probe, TARGET, compare=compare)
    replies = [Reply(status, body, by)] * (2 if compare else 1)
    try:
        assert isinstance(converse(op, *replies)[1], Level | Increase | Unreadable)
    except AssertionError as error:
        assert "less than it was given" in str(error)  # the first one told enough


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"path": "predict"}, "pattern"),
        ({"path": "/{{ nope }}"}, "unknown name"),
        ({"body": "{{ nope }}"}, "unknown name"),
        ({"requests": 0}, "greater than or equal to 1"),
        ({"expect": {"status": [299, 200]}}, "swap them"),
        ({"expect": {"status": 99}}, "greater than or equal to 100"),
        ({"expect": {"status": True}}, "tuple"),
        ({"expect": {"latency_s": 11}}, "raise timeout_s"),
        ({"expect": {"values": {"a[": 1}}}, "no JMESPath"),
        ({"method": "BREW"}, "GET"),
        ({"headers": {"Cookie": "s3cret"}}, "{env: NAME}"),
        (5, "dictionary"),
    ],
)
def test_a_probe_that_could_not_be_met_is_refused(fields: Any, said: str) -> None:
    """When the plan is read."""
    with pytest.raises(ValidationError) as caught:
        provider({"probe": fields})
    message = "; ".join(fault["msg"] for fault in caught.value.errors())
    assert said in message
    assert "s3cret" not in message


def through(handler: Callable[[httpx.Request], httpx.Response], colour: str, probe: Probe) -> Reading:
    transport = httpx.MockTransport(handler)
    op = measure_probe(probe, TARGET, compare=True)
    if colour == "sync":
        with Client("http://plane.test", "aph0_secret", transport=transport) as client:
            return client.run(op)

    async def later() -> Reading:
        async with AsyncClient("http://plane.test", "aph0_secret", transport=transport) as client:
            return await client.run(op)

    return anyio.run(later)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_probes_go_out_side_by_side_in_either_colour(colour: str) -> None:
    """Twenty each, and none carries the control plane's token."""
    asked: list[httpx.Request] = []
    numbers = itertools.count(1)  # several threads ask

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        version = request.headers["x-anyservice-version"]
        bad = version == "srv_new" and next(numbers) % 4 == 0
        return httpx.Response(500 if bad else 200, headers={"x-anyservice-version": version}, json={})

    reading = through(handler, colour, Probe(requests=20))
    assert isinstance(reading, Increase)
    assert (reading.canary, reading.primary) == (Count(20, 5), Count(20, 0))
    assert len(asked) == 40
    assert not any("cookie" in request.headers for request in asked)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_router_that_is_down_is_unreadable_in_either_colour(colour: str) -> None:
    """One refused connection ends the measurement."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    reading = through(handler, colour, Probe(requests=3))
    assert isinstance(reading, Unreadable)
    assert "refused" in reading.why
    assert json.dumps(reading.why)
