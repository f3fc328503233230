"""One port for all services: by host, by path, and what is nobody's."""

import http.client
import json

import grpc
import pytest

from anyservice_core.plane.router import Route, Router
from anyservice_core.plane.router.config import render, structure
from anyservice_core.plane.router.gateway import HOSTS, NAMES, address, choose, chosen, gateway_file, names
from tests.plane.router.test_grpc import say, version
from tests.plane.router.test_router import TOKEN, free_port, one, place, two  # noqa: F401  fixtures


def route(id, name="", a=None, port=8700, token="tok"):
    return Route(id, port, token, {"a": a, "b": None}, name=name)


@pytest.fixture
def router(place):  # noqa: F811
    router = Router(place, place, free_port())
    yield router
    router.stop()


def ask(router, path, host=None, headers=TOKEN):
    """Give status, body and the version that answered."""
    connection = http.client.HTTPConnection("127.0.0.1", router.gateway, timeout=20)
    connection.request("GET", path, headers={**headers, **({"Host": host} if host else {})})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), answer.headers.get("x-anyservice-version")
    connection.close()
    return found


def services(one, two):  # noqa: F811
    return [
        route("s1", "Red", one.server(100), free_port()),
        route("s2", "blue", two.server(100), free_port()),
    ]


@pytest.mark.real
def test_a_service_is_found_by_host_and_by_path(router, one, two):  # noqa: F811
    """By its name or its id; what is before its own path is not seen by it."""
    router.apply(services(one, two))
    assert ask(router, "/x?q=1", "red.localhost:8699") == (200, "one", "ver_one")
    assert ask(router, "/blue/x/y?q=1") == (200, "two", "ver_two")
    assert ask(router, "/Red") == ask(router, "/Red/") == ask(router, "/s1/") == (200, "one", "ver_one")
    assert one.seen == {"GET /x?q=1": 1, "GET /": 3}
    assert two.seen == {"GET /x/y?q=1": 1}
    assert {c.service_id: c.requests for c in router.counters()} == {"s1": 4, "s2": 1}


@pytest.mark.real
def test_the_gateway_lets_nobody_in_whom_a_service_would_not(router, one, two):  # noqa: F811
    """Each service asks for its own token; what names no service is told how to name one."""
    router.apply(services(one, two))
    assert ask(router, "/blue/", headers={})[0] == 401
    assert ask(router, "/blue/", headers={"Authorization": "Bearer other"})[0] == 401
    status, body, _ = ask(router, "/green/x")
    assert (status, "no service of this name" in json.loads(body)["detail"]) == (404, True)
    assert ask(router, "/")[0] == 404
    assert (one.seen, two.seen) == ({}, {})


@pytest.mark.real
def test_calls_by_grpc_find_their_service_by_host_also_over_a_reload(router):
    """On one channel, whichever worker holds it."""
    with version("one", 100) as server:
        mine = Route("s1", free_port(), "tok", {"a": server, "b": None}, grpc=True, name="red")
        router.apply([mine])
        authority = (("grpc.default_authority", "red.localhost"),)
        with grpc.insecure_channel(f"127.0.0.1:{router.gateway}", options=authority) as channel:
            assert say(channel) == "one"
            router.apply([mine, route("s2", port=free_port())])
            assert say(channel) == "one"


@pytest.mark.real
def test_addresses_stay_good_while_services_come_and_planes_go(router, place, one, two):  # noqa: F811
    """Its port is the same after a reload, for the next plane, and after HAProxy has ended."""
    both = services(one, two)
    router.apply(both[:1])
    port = router.gateway
    router.apply(both)
    assert ask(router, "/blue/")[0] == 200
    again = Router(place, place, router._wanted_gateway)
    again.apply(both)
    again.stop()
    again.apply(both)
    assert (again.gateway, ask(again, "/Red/")[0]) == (port, 200)
    assert address(place) == f"http://127.0.0.1:{port}"


@pytest.mark.real
def test_a_router_from_before_there_was_a_gateway_gets_one(place, one, two):  # noqa: F811
    """The next plane's router adds it by a reload."""
    both = services(one, two)
    Router(place, place).apply(both)
    router = Router(place, place, free_port())
    router.apply(both)
    assert ask(router, "/blue/")[0] == 200
    router.stop()


def test_names_that_a_host_cannot_tell_apart_are_found_by_path_only():
    """Hosts know no capitals; and neither `127.0.0.1` nor `localhost` means a service of that name."""
    found = names(
        [route("s1", "A"), route("s2", "a"), route("s3", "127"), route("s4", "localhost"), route("s5")]
    )
    assert found[NAMES].items() >= {
        ("A", "s1"),
        ("a", "s2"),
        ("127", "s3"),
        ("localhost", "s4"),
        ("s5", "s5"),
    }
    assert set(found[HOSTS]) == {"s1", "s2", "s3", "s4", "s5"}


def test_a_port_that_is_taken_is_passed_over(tmp_path, free_socket):
    """The one below it is taken, and kept for good; another wish is another choice."""
    wanted = free_socket.getsockname()[1]
    path = gateway_file(tmp_path)
    choose(path, wanted)
    first = chosen(path, wanted)
    assert first is not None
    assert first < wanted
    choose(path, wanted)
    assert (chosen(path, wanted), chosen(path, wanted - 1)) == (first, None)


def test_the_port_of_a_service_is_not_the_gateways(tmp_path):
    """Both are free before HAProxy starts, which then could not have both."""
    wanted, path = free_port(), gateway_file(tmp_path)
    choose(path, wanted, [wanted])
    assert chosen(path, wanted) not in {None, wanted}


def test_a_gateway_is_another_structure():
    """HAProxy binds no port while it runs."""
    routes = [route("s1", "a")]
    assert "frontend gateway" not in render(routes)
    assert structure(routes) != structure(routes, 8699)


@pytest.fixture
def free_socket():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server
