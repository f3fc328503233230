"""How a running HAProxy is led from what it does to what it shall do: runtime commands, in a safe order.

Each command takes effect by itself, and requests keep coming in between. Two orders would lose some:

* lowering one seat before the other is raised leaves a moment in which nobody has any weight;
* making a seat ready before it has its address and its weight sends requests to the wrong place.

So seats whose pull rises go first, and a seat that rises gets its address, its weight and only then
its readiness. A seat's *pull* is its weight while it is ready, else 0. Whoever falls comes after, and
loses weight first. If some pull was there before and shall be there after, then at every moment
between there is some: until the first fall all old pulls stand or have risen, and from then on all
the new ones do.

Who sits where is in a map, and an answer is signed by what that said when its request came. So a seat gets
its name before its traffic, and is nobody's only after it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anyservice_core.plane.router.config import GRPC, NOBODY, TOKENS, VERSIONS, maps
from anyservice_core.plane.router.routes import SLOTS, Route, Server, grpc_of

__all__ = ["Seat", "State", "commands", "desired"]


@dataclass(frozen=True)
class Seat:
    """A server line of HAProxy. An ``address`` of ``None`` is one that does not matter."""

    address: tuple[str, int] | None
    weight: int
    ready: bool

    @property
    def pull(self) -> int:
        return self.weight if self.ready else 0


@dataclass(frozen=True)
class State:
    """What one HAProxy process does: seats by ``service/slot`` or ``grpc:service/slot``, its maps by file name."""

    seats: Mapping[str, Seat]
    maps: Mapping[str, Mapping[str, str]] = field(repr=False)


def desired(routes: Sequence[Route]) -> State:
    """Give the state that these routes ask for."""
    places = [(r, slot, r.servers.get(slot)) for r in routes for slot in SLOTS]
    seats = {f"{r.service_id}/{slot}": _seat(server) for r, slot, server in places}
    grpc = {f"{GRPC}{r.service_id}/{slot}": _seat(grpc_of(s)) for r, slot, s in places if r.grpc}
    return State({**seats, **grpc}, maps(routes))


def _seat(server: Server | None) -> Seat:
    return Seat(server.address, server.weight, ready=True) if server else Seat(None, 0, ready=False)


def commands(actual: State, goal: State) -> list[str]:
    """Give the runtime commands that lead from ``actual`` to ``goal``, for the seats that both have."""
    pairs = [(name, seat, goal.seats[name]) for name, seat in actual.seats.items() if name in goal.seats]
    rising = [pair for pair in pairs if pair[2].pull > pair[1].pull]
    others = [pair for pair in pairs if pair[2].pull <= pair[1].pull]
    entries = _entries(actual, goal)
    return [
        *(f"set map {name} {key} {value}" for name, key, value in entries if value != NOBODY),
        *(command for pair in rising for command in _raise(*pair)),
        *(command for pair in others for command in _lower(*pair)),
        *(f"set map {name} {key} {value}" for name, key, value in entries if value == NOBODY),
    ]


def _entries(actual: State, goal: State) -> list[tuple[str, str, str]]:
    """Give the entries that differ: the map, the key and what it shall say."""
    return [
        (name, key, goal.maps[name][key])
        for name in (TOKENS, VERSIONS)
        for key, value in actual.maps.get(name, {}).items()
        if goal.maps[name].get(key, value) != value
    ]


def _raise(name: str, now: Seat, goal: Seat) -> list[str]:
    return [*_address(name, now, goal), *_weight(name, now, goal), *_readiness(name, now, goal)]


def _lower(name: str, now: Seat, goal: Seat) -> list[str]:
    return [*_weight(name, now, goal), *_address(name, now, goal), *_readiness(name, now, goal)]


def _address(name: str, now: Seat, goal: Seat) -> list[str]:
    if goal.address is None or goal.address == now.address:
        return []
    host, port = goal.address
    return [f"set server {name} addr {host} port {port}"]


def _weight(name: str, now: Seat, goal: Seat) -> list[str]:
    return [] if goal.weight == now.weight else [f"set weight {name} {goal.weight}"]


def _readiness(name: str, now: Seat, goal: Seat) -> list[str]:
    if goal.ready == now.ready:
        return []
    return [f"set server {name} state {'ready' if goal.ready else 'maint'}"]
