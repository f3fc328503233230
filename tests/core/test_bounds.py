"""How long an exchange may take, and against which clock a server's dates are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import httpx
import pytest

from anyservice_core import AsyncClient, Client
from anyservice_core.effects import Request

HOST, TOKEN = "http://plane.test", "aph0_fake"


@pytest.fixture(params=["sync", "async"])
def ask(request):
    """Send one request in either colour to a handler; give the reply."""

    def sync(handler, effect, **options):
        with Client(HOST, TOKEN, transport=httpx.MockTransport(handler), **options) as client:
            return client.run(iter(effect))

    async def later(handler, effect, options):
        async with AsyncClient(HOST, TOKEN, transport=httpx.MockTransport(handler), **options) as client:
            return await client.run(iter(effect))

    if request.param == "sync":
        return sync
    return lambda handler, effect, **options: anyio.run(later, handler, effect, options)


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({}, 20.0),
        ({"timeout_s": 60.0}, 60.0),
        ({"within_s": 5.0}, 5.0),
        ({"within_s": 500.0}, 20.0),
        ({"timeout_s": 3.0, "within_s": 5.0}, 3.0),
    ],
)
def test_what_is_left_of_a_wait_bounds_a_request(ask, fields, bound):
    """Besides the bound that it has anyhow."""
    seen = []

    def handle(request):
        seen.append(request.extensions["timeout"]["read"])
        return httpx.Response(200)

    ask(handle, Request("GET", "/x", **fields), timeout_s=20.0)
    assert seen == [bound]


def test_an_answer_without_a_date_is_of_now(ask):
    """Else a pause that a server asks for by a date could not be kept to."""
    then = datetime.now(UTC) + timedelta(seconds=30)
    headers = {"Retry-After": format_datetime(then, usegmt=True)}
    reply = ask(lambda _: httpx.Response(503, headers=headers), Request("GET", "/x"))
    moment = datetime.strptime(reply.headers["date"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert abs(moment - datetime.now(UTC)) < timedelta(seconds=20)


def test_an_answer_s_own_date_is_kept(ask):
    """The server's clock may differ from ours."""
    headers = {"Date": "Mon, 23 Nov 2026 08:00:00 GMT"}
    assert (
        ask(lambda _: httpx.Response(200, headers=headers), Request("GET", "/x")).headers["date"]
        == (headers["Date"])
    )
