"""How a running HAProxy is led to another state."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.plane.router.config import NOBODY, TOKENS, VERSIONS
from anyservice_core.plane.router.moves import Seat, State, commands, desired
from anyservice_core.plane.router.routes import Route, Server

ADDRESSES = [("127.0.0.1", port) for port in (1, 9001, 9002, 9003)]
servers = st.none() | st.builds(
    Server,
    version_id=st.sampled_from(["v1", "v2", "v3"]),
    address=st.sampled_from(ADDRESSES[1:]),
    weight=st.integers(0, 100),
)
routes = st.builds(
    lambda token, a, b: Route("svc", 8700, token, {"a": a, "b": b}),
    st.sampled_from(["t", "u"]),
    servers,
    servers,
)
seats = st.builds(Seat, address=st.sampled_from(ADDRESSES), weight=st.integers(0, 100), ready=st.booleans())


class Machine:
    """HAProxy as far as these commands go; keeps every state it passed through."""

    def __init__(self, state: State) -> None:
        self.seats = dict(state.seats)
        self.maps = {name: dict(entries) for name, entries in state.maps.items()}
        self.pulls = [self.pull()]

    def pull(self) -> int:
        return sum(seat.pull for seat in self.seats.values())

    def do(self, command: str) -> None:
        match command.split():
            case ["set", "weight", name, weight]:
                self.seats[name] = replace(self.seats[name], weight=int(weight))
            case ["set", "server", name, "addr", host, "port", port]:
                self.seats[name] = replace(self.seats[name], address=(host, int(port)))
            case ["set", "server", name, "state", state]:
                self.seats[name] = replace(self.seats[name], ready=state == "ready")
            case ["set", "map", name, key, value]:
                assert key in self.maps[name], "HAProxy refuses a key that is not there"
                self.maps[name][key] = value
            case _:
                raise AssertionError(command)
        self.pulls.append(self.pull())

    @property
    def state(self) -> State:
        return State(self.seats, self.maps)


def machine(a: Seat, b: Seat) -> Machine:
    maps = {TOKENS: {"svc": "t", "svc/2": "t"}, VERSIONS: {"svc/a": "-", "svc/b": "-"}}
    return Machine(State({"svc/a": a, "svc/b": b}, maps))


@given(seats, seats, routes)
def test_commands_lead_to_the_goal(a, b, route):
    """From any state the commands reach any other, and from there no command is left."""
    haproxy, goal = machine(a, b), desired([route])
    for command in commands(haproxy.state, goal):
        haproxy.do(command)
    assert commands(haproxy.state, goal) == []
    assert haproxy.maps == goal.maps
    for slot, server in route.servers.items():
        seat = haproxy.seats[f"svc/{slot}"]
        assert seat.pull == (server.weight if server else 0)
        assert server is None or seat.address == server.address


@given(seats, seats, routes)
def test_somebody_serves_at_every_moment(a, b, route):
    """If traffic had somewhere to go before and shall have after, it has at every moment between."""
    haproxy = machine(a, b)
    for command in commands(haproxy.state, desired([route])):
        haproxy.do(command)
    if haproxy.pulls[0] > 0 and haproxy.pulls[-1] > 0:
        assert min(haproxy.pulls) > 0


@given(seats, seats, routes)
def test_nobody_is_let_in_before_address_and_weight(a, b, route):
    """A seat becomes ready only once it is what it shall be: never an old address, never an old weight."""
    haproxy, goal = machine(a, b), desired([route])
    for command in commands(haproxy.state, goal):
        haproxy.do(command)
        if command.endswith("state ready"):
            name = command.split()[2]
            assert haproxy.seats[name] == goal.seats[name]


@given(seats, seats, routes)
def test_nobody_answers_without_a_name(a, b, route):
    """An answer is signed by the map, so a seat that takes requests has a name there, from its first to its last."""
    haproxy, goal = machine(a, b), desired([route])
    for slot, seat in (("a", a), ("b", b)):
        haproxy.maps[VERSIONS][f"svc/{slot}"] = "v0" if seat.pull else NOBODY
    for command in commands(haproxy.state, goal):
        haproxy.do(command)
        for name, seat in haproxy.seats.items():
            assert haproxy.maps[VERSIONS][name] != NOBODY or not seat.pull


def test_the_rising_weight_goes_first():
    """The order that dropped no request: up, then down."""
    before = Seat(ADDRESSES[1], 100, ready=True), Seat(ADDRESSES[2], 0, ready=True)
    goal = Route("svc", 8700, "t", {"a": Server("-", ADDRESSES[1], 0), "b": Server("-", ADDRESSES[2], 100)})
    assert commands(machine(*before).state, desired([goal])) == ["set weight svc/b 100", "set weight svc/a 0"]


def test_a_service_that_this_worker_does_not_have_is_left_out():
    """A worker can only be told of services that it was started with."""
    other = Route("other", 8701, None, {"a": Server("v1", ADDRESSES[1], 100), "b": None})
    seat = Seat(ADDRESSES[0], 0, ready=False)
    assert commands(machine(seat, seat).state, desired([other])) == []
