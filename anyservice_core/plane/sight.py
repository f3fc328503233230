"""What a reconciling step is given beside the service: what was seen just now, and how patient to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from anyservice_core.plane.engines.base import EngineState, Observed
from anyservice_core.plane.state import Version

__all__ = ["LADDER", "SETTLE_S", "Options", "Sight"]

GONE = Observed(state=EngineState.GONE, address=None, message="")
# A keep-alive connection may have a request on its way when the weight drops to 0; that nothing is under
# way is believed only after this long.
SETTLE_S = 0.5
LADDER = (5, 10, 20, 30, 50, 75, 100)


@dataclass(frozen=True)
class Options:
    """How patient the plane is. Durations in seconds, weights in percent.

    ``ladder``: the weights that an automatic rollout takes, each for ``ladder_hold_s``.
    ``rollout_limit_s``: a rollout, automatic or held, that takes longer is rolled back; 0: none is.
    ``sick_canary_s``: so long may the canary of an automatic rollout be UNHEALTHY before it is rolled back.
    ``drain_s``: so long may requests under way take once a host gets no new ones.
    ``sick_s``: so long may an update in place run and not be well before it is given up.
    ``max_starts``: so often is a host started that dies each time before it was well for ``steady_s``.
    """

    ladder: tuple[int, ...] = LADDER
    ladder_hold_s: float = 15.0
    rollout_limit_s: float = 7200.0
    sick_canary_s: float = 120.0
    drain_s: float = 30.0
    sick_s: float = 30.0
    max_starts: int = 3
    steady_s: float = 60.0


@dataclass(frozen=True)
class Sight:
    """What was seen just now: each host, each version's open requests, and whether the router obeys.

    ``fault`` is what the router said if it does not.
    """

    hosts: Mapping[str, Observed] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=dict)
    routed: bool = True
    fault: str = ""

    def of(self, host: str) -> Observed:
        return self.hosts.get(host, GONE)

    def host(self, version: Version) -> Observed:
        """What was seen of the host that serves."""
        return self.of(version.host)
