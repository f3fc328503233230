"""Each verb against each way in which a network and a server fail: once, and for good, in both colours.

Once is survived, with the same outcome and nothing done twice. For good ends with one of our errors, after a bounded
number of tries, never with a foreign one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import httpx
import pytest

from anyservice_core import AnyserviceError, DecodeError, ServiceConfig, TransportError, UnavailableError
from anyservice_core.testing import FakePlane

Handler = Callable[[httpx.Request], httpx.Response]
V2 = ServiceConfig(name="rec", version_name="v2", applications=[{"import_path": "main:new"}])


class Faulty(FakePlane):
    """A plane on a bad line: ``fault`` meets the requests whose line has ``on`` in it, ``times`` of them."""

    fault: Callable[[httpx.Request, Handler], httpx.Response] | None = None
    on = ""
    times = 0

    @property
    def transport(self) -> httpx.MockTransport:
        inner: Handler = super().transport.handler  # type: ignore[assignment]

        def handle(request: httpx.Request) -> httpx.Response:
            if self.fault is None or self.times == 0 or self.on not in f"{request.method} {request.url.path}":
                return inner(request)
            self.times -= 1
            return self.fault(request, inner)

        return httpx.MockTransport(handle)


# ── what goes wrong ──


def refused(request, _inner):
    raise httpx.ConnectError("connection refused", request=request)


def stalled(request, _inner):
    raise httpx.ReadTimeout("stalled", request=request)


def dropped(request, inner):
    inner(request)
    raise httpx.RemoteProtocolError("server disconnected", request=request)


def unavailable(status: int, retry_after: str | None = None):
    def fault(_request, _inner):
        headers = {"Retry-After": retry_after} if retry_after else {}
        return httpx.Response(status, headers=headers, json={"error": {"detail": "busy"}})

    fault.__name__ = f"{status}, {retry_after or 'no Retry-After'}"
    return fault


def answers(name: str, body: bytes):
    def fault(request, inner):
        inner(request)
        return httpx.Response(200, content=body)

    fault.__name__ = name
    return fault


SOON = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
PASSING = [
    refused,
    stalled,
    dropped,
    unavailable(429, "2"),
    unavailable(429),
    unavailable(503, "1.5"),
    unavailable(503, SOON),
    unavailable(500),
]
UNREADABLE = [
    answers("truncated", b'{"result": {"id": "service2_'),
    answers("HTML", b"<html><body>Welcome to the proxy</body></html>"),
    answers("wrong types", b'{"result": 5, "results": {"a": 1}}'),
    answers("null", b"null"),
    answers("wrong encoding", b"\xff\xfe\x00"),
]

# ── the verbs ──


def rolling(call):
    call("deploy", V2, canary_percent=10)
    call("wait", "rec", version="v2", canary_weight=10)


def ended(call):
    call("terminate", "rec")
    call("wait", "rec", state="TERMINATED")


def nothing(_call):
    """The service that runs is enough."""


VERBS = {
    "status": (nothing, "GET /api/v2/services-v2", lambda call: call("status", "rec")),
    "list": (nothing, "GET /api/v2/services-v2", lambda call: call("list")),
    "wait": (nothing, "GET /api/v2/services-v2", lambda call: call("wait", "rec", timeout_s=30)),
    "deploy": (nothing, "/apply", lambda call: call("deploy", V2, canary_percent=10)),
    "preview": (nothing, "GET /api/v2/services-v2", lambda call: call("preview", V2, canary_percent=10)),
    "shift": (rolling, "/apply", lambda call: call("shift", "rec", canary_percent=50)),
    "rollback": (rolling, "/rollback", lambda call: call("rollback", "rec")),
    "terminate": (nothing, "/terminate", lambda call: call("terminate", "rec")),
    "archive": (ended, "/archive", lambda call: call("archive", "rec")),
    "delete": (ended, "DELETE ", lambda call: call("delete", "rec")),
}


@pytest.fixture(params=["sync", "async"])
def bench(request):
    """A plane with a service that runs, and a way to call a client of it."""
    with Faulty() as plane:

        def sync(name: str, *args: Any, **options: Any) -> Any:
            with plane.client() as client:
                found = getattr(client, name)(*args, **options)
                return list(itertools.islice(found, 5)) if name == "list" else found

        async def later(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            async with plane.async_client() as client:
                if name == "list":
                    return [one async for one in client.list(*args, **options)]
                return await getattr(client, name)(*args, **options)

        def call(name: str, *args: Any, **options: Any) -> Any:
            return (
                sync(name, *args, **options)
                if request.param == "sync"
                else anyio.run(later, name, args, options)
            )

        call(
            "deploy", ServiceConfig(name="rec", version_name="v1", applications=[{"import_path": "main:app"}])
        )
        call("wait", "rec")
        yield plane, call


def versions(plane: FakePlane) -> set[str]:
    """Every version that was ever started."""
    return set(plane.engine.specs)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("verb", VERBS)
def test_a_fault_that_passes_is_survived(bench, verb, fault):
    """As if nothing had been, and nothing is done twice."""
    plane, call = bench
    prepare, plane.on, act = VERBS[verb]
    prepare(call)
    before = len(versions(plane))
    plane.fault, plane.times = fault, 1
    assert act(call) is not None
    assert plane.times == 0, "the fault was never met"
    plane.advance(5)
    assert len(versions(plane)) - before == (verb == "deploy")


@pytest.mark.parametrize("bench", ["sync"], indirect=True)
@pytest.mark.parametrize("fault", [*PASSING, *UNREADABLE], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("verb", VERBS)
def test_a_fault_that_stays_is_one_of_our_errors(bench, verb, fault):
    """In the branch of the tree that says what to do, and soon."""
    plane, call = bench
    prepare, plane.on, act = VERBS[verb]
    prepare(call)
    plane.fault, plane.times = fault, 1_000
    began = plane.now
    try:
        act(call)
    except AnyserviceError as error:
        assert isinstance(error, TransportError | UnavailableError | DecodeError) or verb == "wait", error
    else:
        # The look after a deploy or a rollback is not on the bad line; a removal's answer is not read.
        assert verb in {"deploy", "shift", "rollback", "archive", "delete"}
    assert plane.times > 900, "it was tried for ever"
    assert plane.now - began < 300
