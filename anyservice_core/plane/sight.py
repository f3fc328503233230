"""What a reconciling step is given beside the service: what was seen just now, and how patient to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from anyservice_core.plane.engines.base import EngineState, Observed
from anyservice_core.plane.state import Version

__all__ = ["SETTLE_S", "Options", "Sight"]

GONE = Observed(state=EngineState.GONE, address=None, message="")
# A keep-alive connection may have a request on its way when the weight drops to 0; that nothing is under
# way is believed only after this long.
SETTLE_S = 0.5


@dataclass(frozen=True)
class Options:
    """How patient the plane is. Durations in seconds, weights in percent.

    ``drain_s`` is how long requests under way may take once a host gets no new ones; ``sick_s`` is how
    long an update in place may run and not be well before it is given up.
    """

    ladder: tuple[int, ...] = (5, 10, 20, 30, 50, 75, 100)
    ladder_hold_s: float = 15.0
    drain_s: float = 30.0
    max_starts: int = 3
    sick_s: float = 30.0


@dataclass(frozen=True)
class Sight:
    """What was seen just now: each host, each version's open requests, and whether the router obeys."""

    hosts: Mapping[str, Observed] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=dict)
    routed: bool = True

    def of(self, host: str) -> Observed:
        return self.hosts.get(host, GONE)

    def host(self, version: Version) -> Observed:
        """What was seen of the host that serves."""
        return self.of(version.host)
