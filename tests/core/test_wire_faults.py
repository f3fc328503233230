"""Every verb, on a wire where each of its requests in turn is refused, dropped, stalled, or answered with nonsense.

The sockets are real, the plane is the fake one, whose clock the clients' pauses move, so that patience costs no time.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from anyservice_core import (
    Client,
    DecodeError,
    ServiceConfig,
    TransportError,
    UnavailableError,
    WaitTimeoutError,
)
from anyservice_core.errors import AnyserviceError
from anyservice_core.testing import TOKEN, FakePlane
from tests.core.faulty import Fault, Wire, answer, in_seconds

V1, V2 = (
    ServiceConfig(name="rec", version_name=name, applications=[{"import_path": f"{name}:app"}])
    for name in ("v1", "v2")
)


# ── the verbs ──


def nothing(_: FakePlane) -> None:
    """No service yet."""


def running(plane: FakePlane) -> None:
    with plane.client() as client:
        client.deploy(V1)
        client.wait("rec")


def canary(plane: FakePlane) -> None:
    running(plane)
    with plane.client() as client:
        client.deploy(V2, canary_percent=10)
        client.wait("rec", version="v2", canary_weight=10)


def terminated(plane: FakePlane) -> None:
    running(plane)
    with plane.client() as client:
        client.terminate("rec")
        client.wait("rec", state="TERMINATED")


@dataclass(frozen=True)
class Verb:
    """A call, and what there is before it."""

    before: Callable[[FakePlane], None]
    call: Callable[[Client], Any]


VERBS = {
    "deploy": Verb(nothing, lambda client: client.deploy(V1)),
    "deploy a canary": Verb(running, lambda client: client.deploy(V2, canary_percent=10)),
    "deploy in place": Verb(running, lambda client: client.deploy(V2, in_place=True)),
    "preview": Verb(running, lambda client: client.preview(V2, canary_percent=10)),
    "shift": Verb(canary, lambda client: client.shift("rec", canary_percent=50)),
    "status": Verb(running, lambda client: client.status("rec")),
    "wait": Verb(running, lambda client: client.wait("rec", timeout_s=300)),
    "list": Verb(running, lambda client: client.list(name="rec")),
    "rollback": Verb(canary, lambda client: client.rollback("rec")),
    "terminate": Verb(running, lambda client: client.terminate("rec")),
    "archive": Verb(terminated, lambda client: client.archive("rec")),
    "delete": Verb(terminated, lambda client: client.delete("rec")),
}
NEED_NO_ANSWER = {"archive", "delete"}
LOOK_AGAIN = {"deploy", "deploy a canary", "deploy in place", "shift"}  # whether they have arrived


def outcome(plane: FakePlane) -> list[Any]:
    """What has come of it, when all has settled."""
    plane.advance(200)
    return [
        (
            one.name,
            one.state,
            one.archived,
            one.rollout and one.rollout.percent,
            [(v.name, v.weight) for v in one.versions],
        )
        for one in plane.store.services()
    ] + [len(plane.engine.specs)]


def plainly(result: Any) -> Any:
    """What a call gave back, without ids."""
    if isinstance(result, list):
        return [plainly(one) for one in result]
    return getattr(result, "name", None) or getattr(result, "version_name", None) or type(result)


@pytest.fixture(params=VERBS)
def verb(request) -> str:
    return request.param


@pytest.fixture(params=["sync", "async"])
def colour(request) -> str:
    return request.param


@dataclass
class Trial:
    """One call on a wire of its own: what was asked, what it gave back or raised, and what has come of it."""

    wire: Wire
    after: list[Any]
    result: Any = None
    error: AnyserviceError | None = None


def trial(verb: str, colour: str, fault: Fault, at: Callable[[int], bool], patience_s: float = 10) -> Trial:
    with FakePlane(start_s=1) as plane:
        VERBS[verb].before(plane)
        result, error = None, None
        with Wire(plane, fault, at, patience_s=patience_s) as wire:
            try:
                result = plainly(wire.call(colour, VERBS[verb].call))
            except AnyserviceError as raised:
                error = raised
        return Trial(wire, outcome(plane), result, error)


@functools.cache
def undisturbed(verb: str) -> Trial:
    whole = trial(verb, "sync", Fault("none"), lambda _: False)
    assert whole.error is None
    return whole


def on_each(verb: str, colour: str, fault: Fault) -> Iterator[Trial]:
    """With the fault at each request in turn."""
    for number in range(len(undisturbed(verb).wire.seen)):
        yield trial(verb, colour, fault, lambda n, number=number: n == number)


def on_last(verb: str, colour: str, fault: Fault, **options: Any) -> Trial:
    """With the fault at the last request, the one that it is all about."""
    last = len(undisturbed(verb).wire.seen) - 1
    return trial(verb, colour, fault, lambda n: n == last, **options)


def assert_as_if_nothing_had_been(verb: str, one: Trial) -> None:
    whole = undisturbed(verb)
    assert one.error is None, one.wire.seen
    assert (one.result, one.after) == (whole.result, whole.after), one.wire.seen


# ── once ──

RETRY_AFTER: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"Retry_After": "3"}, 3.0),
    "a fraction": ({"Retry_After": "1.5"}, 1.5),
    "a date": (in_seconds(7), 7.0),
    "a date gone by": (in_seconds(-7), 0.0),
    "too long": ({"Retry_After": "86400"}, 60.0),
    "nonsense": ({"Retry_After": "soon"}, None),
    "nothing": ({}, None),
}
BUSY = {
    f"{status}, Retry-After {form}": (Fault(f"{status} {form}", answer(status, **headers)), pause)
    for status in (429, 503)
    for form, (headers, pause) in RETRY_AFTER.items()
}
PASSING = [
    Fault("dropped before the server acted"),
    Fault("dropped after the server acted", acts=True),
    Fault("cut off after the server acted", answer(200, b'{"result": {', length=500), acts=True),
    Fault("500 before the server acted", answer(500)),
    Fault("502 of a proxy after the server acted", answer(502, b"<html>Bad Gateway</html>"), acts=True),
]
STALLS = [Fault("stalled", stalls=True), Fault("stalled after the server acted", stalls=True, acts=True)]


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_what_passes_is_got_over(verb, fault):
    """Whichever request it hits; what is done twice would show."""
    for one in on_each(verb, "sync", fault):
        assert_as_if_nothing_had_been(verb, one)


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_what_passes_is_got_over_in_the_other_colour(verb, fault):
    """Where it matters most."""
    assert_as_if_nothing_had_been(verb, on_last(verb, "async", fault))


@pytest.mark.parametrize("fault", STALLS, ids=str)
def test_a_stall_is_got_over(verb, colour, fault):
    """Every request has a bound."""
    assert_as_if_nothing_had_been(verb, on_last(verb, colour, fault, patience_s=0.3))


@pytest.mark.parametrize("kind", BUSY)
def test_a_server_that_asks_for_a_pause_gets_it(verb, kind):
    """In seconds, fractions and dates, but never more than a minute; without a word, of our own measure."""
    fault, pause = BUSY[kind]
    one = on_last(verb, "sync", fault)
    assert_as_if_nothing_had_been(verb, one)
    added = list(one.wire.pauses)
    for known in undisturbed(verb).wire.pauses:
        added.remove(known)
    [sleep] = added
    if pause is None:
        assert 0 < sleep.seconds < 3
    else:
        assert pause <= sleep.seconds * (1 - sleep.jitter) <= max(pause, 3)


# ── for good ──

LASTING = [
    (Fault("dropped"), TransportError),
    (Fault("500", answer(500, b'{"error": {"detail": "on fire"}}')), UnavailableError),
    (Fault("503", answer(503, Retry_After="5")), UnavailableError),
    (Fault("429", answer(429, Retry_After="5")), UnavailableError),
]


@pytest.mark.parametrize(
    ("fault", "kind"), LASTING, ids=lambda value: str(value) if isinstance(value, Fault) else ""
)
def test_patience_ends(verb, colour, fault, kind):
    """With an error that says what stood in the way and where, after a bounded number of tries."""
    one = trial(verb, colour, fault, lambda _: True)
    if verb == "wait":
        assert isinstance(one.error, WaitTimeoutError)
    else:
        assert isinstance(one.error, kind)
        assert one.error.retryable
    assert "/api/v2/" in str(one.error) or "/ext/v0/" in str(one.error)
    assert TOKEN not in str(one.error) + repr(one.error)
    assert 1 < len(one.wire.seen) <= 200


def test_nobody_is_there(verb, colour):
    """Nothing was done, and the error says why, with the way out; a wait hopes on only for what once answered."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening, so refusing
        with FakePlane() as plane:
            VERBS[verb].before(plane)
            before = outcome(plane)
            wire = Wire(plane, Fault("none"), lambda _: False)
            wire.host = f"http://127.0.0.1:{taken.getsockname()[1]}"
            with wire, pytest.raises(AnyserviceError, match="refused|attempts failed") as caught:
                wire.call(colour, VERBS[verb].call)
            assert outcome(plane) == before
    assert isinstance(caught.value, TransportError)
    assert caught.value.refused
    assert "anyservice plane status" in str(caught.value.hint)


# ── nonsense ──

NONSENSE = {
    "truncated": b'{"result": {"id": "service2_',
    "a page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "empty": b"",
    "not text": b"\xff\xfe\x00",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"fine"',
    "no result": b"{}",
    "null result": b'{"result": null, "results": null}',
    "numbers": b'{"result": 5, "results": 5, "metadata": 5}',
    "wrong types": b'{"result": {"id": 5, "name": [], "current_state": {}}, "results": [{"id": 5}]}',
    "deep": b'{"result": ' + b"[" * 5000 + b"]" * 5000 + b"}",
}


def assert_ours(verb: str, one: Trial) -> None:
    if one.error is None:  # nobody needs this answer, or it could be had once more
        assert_as_if_nothing_had_been(verb, one)
    else:
        assert isinstance(one.error, DecodeError), one.wire.seen
        assert "/v0/" in str(one.error) or "/v2/" in str(one.error)
        assert TOKEN not in str(one.error)


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_an_error_of_ours(verb, kind):
    """Nothing but our errors comes out, and where the answer does not matter, none."""
    one = on_last(verb, "sync", Fault(kind, answer(200, NONSENSE[kind]), acts=True))
    assert_ours(verb, one)
    assert (one.error is None) == (verb in NEED_NO_ANSWER | LOOK_AGAIN)


@pytest.mark.parametrize("kind", ["truncated", "wrong types"])
def test_nonsense_is_an_error_wherever_it_comes(verb, kind):
    """In a look-up as in what it is all about."""
    for one in on_each(verb, "async", Fault(kind, answer(200, NONSENSE[kind]), acts=True)):
        assert_ours(verb, one)
