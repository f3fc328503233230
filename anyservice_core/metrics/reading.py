"""What one measurement brings back, and of what it was taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Count", "Increase", "Level", "Reading", "Said", "Side", "Target", "Totals", "Unreadable"]

Side: TypeAlias = Literal["canary", "primary"]

# The router sends a request with this header to the version it names, whatever the weights; on an answer it
# names the version that gave it.
VERSION_HEADER = "x-anyservice-version"


@dataclass(frozen=True, slots=True)
class Count:
    """Requests answered, and how many of the answers were bad."""

    requests: int
    bad: int


@dataclass(frozen=True, slots=True)
class Level:
    """One number; ``None`` when the source has nothing to say (no data, which is not an outage).

    ``why`` is for people: what was found beside the number.
    """

    value: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """A source that judges itself says yes or no; ``why`` is for people."""

    passed: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Increase:
    """What both versions answered since the last measurement."""

    canary: Count
    primary: Count
    why: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """What both versions answered since they came up: counters that only grow, until a restart."""

    canary: Count
    primary: Count


@dataclass(frozen=True, slots=True)
class Unreadable:
    """It could not be measured, which says nothing about the canary. ``why`` is for people."""

    why: str


Reading: TypeAlias = Level | Said | Increase | Totals | Unreadable


@dataclass(frozen=True, slots=True)
class Target:
    """What a measurement is about: two versions of a service, and a window of time.

    The window ends ``at``, in seconds since the epoch, and is ``window_s`` seconds long; the next one begins
    where it ends. ``weight`` is the canary's percent of the traffic. ``query_url`` is where users ask the
    service, with ``query_auth_token`` as bearer token where it has one.
    """

    service_id: str
    canary_id: str
    canary_name: str
    primary_id: str
    primary_name: str
    window_s: float
    at: float = 0.0
    service: str = ""
    weight: int = 0
    query_url: str = ""
    query_auth_token: str | None = field(default=None, repr=False)

    def version_id(self, side: Side) -> str:
        return self.canary_id if side == "canary" else self.primary_id

    def version_name(self, side: Side) -> str:
        return self.canary_name if side == "canary" else self.primary_name

    def url(self, path: str = "/") -> str:
        """Where the service answers at ``path``."""
        return f"{self.query_url.rstrip('/')}/{path.lstrip('/')}"

    def headers(self, side: Side = "canary") -> dict[str, str]:
        """What to send to ``url()`` to be let in, and to be answered by this version where the router can.

        The token is among it, so mind where this is written.
        """
        door = {"Authorization": f"Bearer {self.query_auth_token}"} if self.query_auth_token else {}
        return {**door, VERSION_HEADER: self.version_id(side)}
