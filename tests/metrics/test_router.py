"""The router's counters, spoken to by hand, and from the plane that serves them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.effects import Reply, Request
from anyservice_core.errors import TransportError
from anyservice_core.metrics import Count, Reading, Target, Totals, Unreadable, measure, measure_router
from anyservice_core.models import ServiceConfig
from anyservice_core.testing import FakePlane

TARGET = Target(
    service_id="service2_1",
    canary_id="srv_new",
    canary_name="r-2",
    primary_id="srv_old",
    primary_name="r-1",
    window_s=10.0,
)


def reading(reply: Reply | Exception) -> Reading:
    op = measure("router", TARGET, compare=True)
    request = next(op)
    assert isinstance(request, Request)
    assert request.path == "/plane/v1/services/service2_1/traffic"
    with pytest.raises(StopIteration) as stop:
        op.throw(reply) if isinstance(reply, Exception) else op.send(reply)
    value: Reading = stop.value.value
    return value


def traffic(*versions: dict[str, Any]) -> Reply:
    return Reply(200, json.dumps({"result": {"service_id": "service2_1", "versions": versions}}).encode())


def test_both_versions_are_found_by_their_ids() -> None:
    """Order and further fields do not matter."""
    new = {"version_id": "srv_new", "requests": 120, "errors": 3, "responses": {"5xx": 3}}
    old = {"version_id": "srv_old", "requests": 1080, "errors": 1}
    assert reading(traffic(old, new)) == Totals(Count(120, 3), Count(1080, 1))


def test_a_version_that_the_router_does_not_know_yet_had_no_request() -> None:
    """Just after the deploy it has no seat there."""
    assert reading(traffic()) == Totals(Count(0, 0), Count(0, 0))


def test_a_platform_without_counters_says_what_to_do() -> None:
    """The managed platform has no such address."""
    found = reading(Reply(404))
    assert isinstance(found, Unreadable)
    assert "embedded plane" in found.why


@pytest.mark.parametrize("reply", [Reply(503), TransportError("refused"), Reply(200, b"{}"), Reply(200, b"")])
def test_an_outage_is_unreadable(reply: Reply | Exception) -> None:
    """It says nothing about the canary."""
    assert isinstance(reading(reply), Unreadable)


@given(st.binary(max_size=40), st.integers(100, 599))
def test_any_answer_gives_a_reading(body: bytes, status: int) -> None:
    """A broken plane never breaks a rollout."""
    assert isinstance(reading(Reply(status, body)), Totals | Unreadable)


def test_the_plane_serves_what_is_read_here() -> None:
    """One seam, tried from both sides: 100 requests a second for a minute, a tenth to the canary, a fifth of those bad."""
    with FakePlane() as plane, plane.client() as client:
        for n in (1, 2):
            config = ServiceConfig(
                name="rec", version_name=f"v{n}", applications=[{"import_path": f"main:v{n}"}]
            )
            service = client.deploy(config, canary_percent=10 if n == 2 else None)
            client.wait("rec", version=f"v{n}", canary_weight=10 if n == 2 else None)
        plane.send_traffic(100, errors={"v2": 0.2})
        plane.advance(60)
        target = Target(str(service), plane.version_id("v2"), "v2", plane.version_id("v1"), "v1", 60.0)
        found = client.run(measure_router(target))
    assert isinstance(found, Totals)
    assert (found.canary.requests, found.primary.requests) == pytest.approx((600, 5400), abs=60)
    assert (found.canary.bad, found.primary.bad) == pytest.approx((120, 0), abs=15)
