"""Every door of the plane, whichever room it belongs to, is closed to strangers but for those on one short list."""

from __future__ import annotations

import re

import pytest

from anyservice_core.plane import api
from anyservice_core.plane.dashboard.history import History
from anyservice_core.plane.dashboard.pages import Dashboard
from anyservice_core.plane.guard import AT_ONCE, OPEN
from anyservice_core.testing import TOKEN, FakePlane
from tests.plane.api import Caller, body, detail

BEARER = {"Authorization": f"Bearer {TOKEN}"}
HERE = {"Host": "127.0.0.1:8642"}  # browsers find the dashboard under a loopback name only


def world(plane: FakePlane, **asked) -> Caller:
    pages = Dashboard(plane.api, History(plane.store, plane.api.clock)).routes()
    return Caller(plane, pages=pages, **asked)


def doors() -> list[str]:
    """Give all that the application knows, asked for by name, and the API behind its last route."""
    with FakePlane() as plane:
        routes = world(plane).app.routes
    shown = {
        f"{method} {route.path}"
        for route in routes
        for method in route.methods
        if "{path:path}" not in route.path
    }
    shown |= {f"{endpoint.method} {endpoint.path}" for endpoint in api.table.endpoints}
    return sorted(line for line in shown if not line.startswith("HEAD "))


def ask(caller: Caller, line: str, **asked):
    method, path = line.split(" ")
    return caller.request(method, re.sub(r"{\w+}", "x", path), **asked)


def test_the_list_of_open_doors_names_doors():
    """What is on it is there."""
    assert OPEN.keys() <= set(doors())


@pytest.mark.parametrize("line", [line for line in doors() if line not in OPEN])
@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"Authorization": "Bearer aph0_x"},
        {"Cookie": "cli_token=aph0_x; anyservice_0=9999999999.x.y", "X-Anyservice-Key": "x"},
    ],
    ids=["nothing", "a token", "a session"],
)
def test_strangers_are_refused_at_every_door(plane, line, shown):
    """With nothing, with a token or with a session of somebody else's."""
    answer = ask(world(plane), line, headers={**HERE, **shown}, content=b"{")
    assert answer.status_code == 401


def test_a_door_that_is_closed_tells_nothing(plane):
    """A service that is there is refused to strangers in the same words as one that is not, and as no path at all."""
    caller = world(plane, **BEARER)
    there = caller.put("/api/v2/services-v2/apply", json=body()).json()["result"]["id"]
    paths = [f"/api/v2/services-v2/{there}", "/api/v2/services-v2/service2_x", "/nothing"]
    assert len({world(plane).get(path).text for path in paths}) == 1


def test_wrong_tokens_are_counted_at_every_door_together(plane):
    """By address: the API, the dashboard's login and uploads share one account; the right token opens all the same."""
    stranger, neighbour = world(plane, address="10.0.0.1"), world(plane, address="10.0.0.2")
    lines = [
        ("GET", "/api/v2/userinfo/", {}),
        ("POST", "/dashboard/session", {"json": {"token": "aph0_x"}}),
        ("POST", "/dashboard/session", {"json": {"code": "x"}}),
        ("POST", "/dashboard/codes", {}),
        ("PUT", "/plane/v1/bundles/a.zip?expires=1&signature=x", {}),
    ]
    told = [
        stranger.request(method, path, headers=HERE, **asked).status_code for method, path, asked in lines
    ]
    assert told == [401, 401, 401, 401, 403]
    for _ in range(AT_ONCE - len(lines)):
        stranger.get("/x")
    for method, path, asked in lines:
        answer = stranger.request(method, path, headers=HERE, **asked)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
        assert "3 seconds" in detail(answer)
        assert neighbour.request(method, path, headers=HERE, **asked).status_code in {401, 403}
    assert stranger.request("GET", "/api/v2/userinfo/", headers=BEARER).status_code == 200
    answer = stranger.request("POST", "/dashboard/session", headers=HERE, json={"token": TOKEN})
    assert answer.status_code == 200


def test_a_refusal_says_how_to_come_in(plane):
    """As HTTP wants it, beside the API's own words."""
    answer = world(plane).get("/api/v2/userinfo/")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "host", ["[", "a b", "", "x" * 5000, "127.0.0.1:99999999", "evil.test", "127.0.0.1:8642\\@x"]
)
def test_no_name_of_a_host_is_a_fault(plane, host):
    """Whatever a client says it came to, it gets an answer; URLs that it is given lead there and nowhere else."""
    assert (
        world(plane).request("GET", "/api/v2/userinfo/", headers={**BEARER, "Host": host}).status_code < 500
    )


def test_a_token_is_in_no_answer(plane):
    """Not in any refusal, nor in what is shown of the plane."""
    caller = world(plane, **BEARER)
    for line in doors():
        if not line.startswith("DELETE"):
            answer = ask(caller, line, headers=HERE)
            assert TOKEN not in answer.text
            assert TOKEN not in str(answer.headers)
