"""What HAProxy is told."""

import pytest

from anyservice_core.errors import ConfigError
from anyservice_core.plane.router.config import maps, render, structure
from anyservice_core.plane.router.routes import Route, Server, check

A = Server("ver_1", ("127.0.0.1", 9001), 90)
B = Server("ver_2", ("127.0.0.1", 9002), 10)


def route(service_id="svc", port=8700, token="tok", a=A, b=None):
    return Route(service_id, port, token, {"a": a, "b": b})


def test_text_holds_the_whole_desired_state():
    """A start from the text alone serves by the same weights at the same addresses."""
    text = render([route(b=B)])
    assert "server a 127.0.0.1:9001 weight 90\n" in text
    assert "server b 127.0.0.1:9002 weight 10\n" in text


def test_token_is_in_its_map_and_not_in_the_text():
    """The configuration may be shown to anyone; the token is in the private file beside it."""
    routes = [route(token="s3cret")]
    assert "s3cret" not in render(routes)
    assert maps(routes)["tokens.map"] == {"svc": "s3cret", "svc/2": "s3cret"}


def test_token_is_not_in_the_repr_of_a_route():
    """A route that lands in a log tells no secret."""
    assert "s3cret" not in repr(route(token="s3cret"))


def test_open_service_has_no_door():
    """Without a token nothing compares one, so no odd token can mean 'open'."""
    assert "http_auth_bearer" in render([route()])
    assert "http_auth_bearer" not in render([route(token=None)])


def test_order_of_routes_does_not_matter():
    """The same set of routes in another order gives the same text, so nothing is reloaded for it."""
    one, two = route(), route("other", 8701)
    assert render([one, two]) == render([two, one])


@pytest.mark.parametrize(
    "same",
    [route(token="other"), route(b=B), route(a=None), route(a=Server("ver_3", ("127.0.0.1", 9003), 1))],
    ids=["token", "second version", "no version", "another version"],
)
def test_what_a_running_haproxy_can_change_is_not_structure(same):
    """Tokens, versions, addresses and weights move without a reload."""
    assert structure([same]) == structure([route()])


@pytest.mark.parametrize(
    "other",
    [[route(port=8701)], [route("svc2")], [route(token=None)], [route(), route("svc2", 8701)]],
    ids=["port", "name", "door", "one more"],
)
def test_what_needs_a_reload_is_structure(other):
    """Services, ports and whether a door is there are fixed while HAProxy runs."""
    assert structure(other) != structure([route()])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([route("svc\n")], "service_id"),
        ([route(port=0)], "port 0"),
        ([route(token="a b")], "query token"),
        ([route(a=Server("v;1", ("127.0.0.1", 1), 1))], "version_id"),
        ([route(a=Server("v1", ("localhost", 1), 1))], "localhost"),
        ([route(a=Server("v1", ("127.0.0.1", 0), 1))], "port 0"),
        ([route(a=Server("v1", ("127.0.0.1", 1), 101))], "weight 101"),
        ([route(), route(port=8701)], "'svc'"),
        ([route(), route("svc2")], "8700"),
    ],
)
def test_bad_routes_are_refused_by_name(bad, said):
    """Nothing that could be read as another command gets into the text, and the message says what it was."""
    with pytest.raises(ConfigError, match=said):
        check(bad)


def test_a_bad_token_is_not_repeated():
    """Even a token that cannot work is a secret."""
    with pytest.raises(ConfigError) as caught:
        check([route(token="s3cret;x")])
    assert "s3cret" not in str(caught.value)


def test_grpc_has_seats_of_its_own_at_the_port_after():
    """A version without gRPC is not asked for it; who gets a call is split by the same weights, behind the same door."""
    speaks = Server("ver_1", ("127.0.0.1", 9001), 90, grpc=True)
    text = render([Route("svc", 8700, "tok", {"a": speaks, "b": B}, grpc=True)])
    _, _, backend = text.partition("\nbackend grpc:svc\n")
    assert "server a 127.0.0.1:9002 weight 90 proto h2\n" in backend
    assert "server b 127.0.0.1:1 weight 0 disabled proto h2\n" in backend
    assert "http_auth_bearer" in backend
    assert "grpc:" not in render([route()])


def test_grpc_that_comes_or_goes_is_another_structure():
    """Its seats are lines of the text, which only another worker reads."""
    assert structure([Route("svc", 8700, "tok", {"a": A, "b": None}, grpc=True)]) != structure([route()])
