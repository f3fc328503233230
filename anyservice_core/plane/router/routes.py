"""What the router is asked for: services, who answers for them and with which weight. And what it will not take."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from anyservice_core.errors import ConfigError

__all__ = ["SLOTS", "Beyond", "Route", "Server", "Slot", "check", "grpc_of"]

Slot: TypeAlias = Literal["a", "b"]
SLOTS: tuple[Slot, Slot] = ("a", "b")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,1000}")  # what a bearer token may consist of


@dataclass(frozen=True)
class Server:
    """A version that answers HTTP at ``address``; ``weight`` is its share of the traffic in percent.

    With ``grpc`` it answers that as well, at the port after it.
    """

    version_id: str
    address: tuple[str, int]
    weight: int
    grpc: bool = False


@dataclass(frozen=True)
class Beyond:
    """A further address at which services are reached, on the ports that they have; ``pem`` is a file beside the text."""

    address: str
    pem: str | None = None


@dataclass(frozen=True)
class Route:
    """A service: its port on this machine, who may ask (``token``; ``None``: anyone), and who answers.

    ``second`` is a token that lets in as well, while clients change over from one to the other. ``grpc``: some
    version of it may have that. ``beyond``: where else it listens. ``keep_alive_s``: for how long a client's connection
    on which nothing is asked is kept; the router's own default if not given. ``name``: by what the gateway finds it,
    beside its id.
    """

    service_id: str
    port: int
    token: str | None = field(repr=False)
    servers: Mapping[Slot, Server | None]
    second: str | None = field(default=None, repr=False)
    grpc: bool = False
    beyond: Beyond | None = None
    keep_alive_s: int | None = None
    name: str = ""


def check(routes: Sequence[Route]) -> None:
    """Raise ``ConfigError`` for routes that HAProxy would not take, or would take for something else."""
    for route in routes:
        _check_name("service_id", route.service_id)
        if not 0 < route.port < 65536:
            raise ConfigError(f"service {route.service_id}: port {route.port} is not within 1 to 65535.")
        if not all(_TOKEN.fullmatch(token) for token in (route.token, route.second) if token is not None):
            raise ConfigError(
                f"service {route.service_id}: its query token holds a character that no bearer token may hold.",
                hint="Use letters, digits and -._~+/= only.",
            )
        for server in route.servers.values():
            if server is not None:
                _check_server(server)
        if route.beyond is not None:
            _check_beyond(route.beyond)
    _check_unique("service_id", [route.service_id for route in routes])
    _check_unique("port", [route.port for route in routes])


def _check_server(server: Server) -> None:
    _check_name("version_id", server.version_id)
    host, port = server.address
    try:
        ipaddress.IPv4Address(host)
    except ValueError as error:
        raise ConfigError(f"version {server.version_id}: address {host!r} is no IPv4 address.") from error
    if not 0 < port < 65536:
        raise ConfigError(f"version {server.version_id}: port {port} is not within 1 to 65535.")
    if not 0 <= server.weight <= 100:
        raise ConfigError(
            f"version {server.version_id}: weight {server.weight} is not within 0 to 100 percent."
        )


def _check_beyond(beyond: Beyond) -> None:
    try:
        ipaddress.ip_address(beyond.address)
    except ValueError as error:
        raise ConfigError(f"{beyond.address!r} is no address to listen at.") from error
    if beyond.pem is not None:
        _check_name("pem", beyond.pem)


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r} is no name for a router: letters, digits and -_. only, at most 100."
        )


def _check_unique(what: str, values: Sequence[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"{what} {value!r} is given to two routes.")
        seen.add(value)


def grpc_of(server: Server | None) -> Server | None:
    """Give the place where a version answers gRPC, if it does."""
    if server is None or not server.grpc:
        return None
    host, port = server.address
    return replace(server, address=(host, port + 1))
