"""What a rollout needs to know of a service, and no more: decisions depend on this alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from anyservice_core.models.enums import ServiceState, ServiceVersionState
from anyservice_core.models.status import ServiceStatus, ServiceVersionStatus

__all__ = ["Observation", "Seen", "observe"]

_DEAD = frozenset(
    {
        ServiceVersionState.SYSTEM_FAILURE,
        ServiceVersionState.TERMINATING,
        ServiceVersionState.TERMINATED,
    }
)
_GONE = frozenset({ServiceState.TERMINATING, ServiceState.TERMINATED})


@dataclass(frozen=True, slots=True)
class Seen:
    """One version: ``ours`` says that it is the one that this rollout brings."""

    id: str
    name: str
    state: ServiceVersionState
    weight: int
    ours: bool

    @property
    def running(self) -> bool:
        return self.state is ServiceVersionState.RUNNING

    @property
    def unhealthy(self) -> bool:
        return self.state is ServiceVersionState.UNHEALTHY

    @property
    def dead(self) -> bool:
        """In a state from which it does not come back by itself."""
        return self.state in _DEAD

    @property
    def unknown(self) -> bool:
        return self.state is ServiceVersionState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Observation:
    """A service at one moment. ``state`` is ``None`` when there is no service of the name.

    ``query_url`` is where users ask it, ``query_auth_token`` what lets them in.
    """

    at: float
    state: ServiceState | None = None
    service_id: str = ""
    primary: Seen | None = None
    canary: Seen | None = None
    multi_version: bool = False
    message: str = ""
    service: str = ""
    query_url: str = ""
    query_auth_token: str | None = field(default=None, repr=False)

    @property
    def absent(self) -> bool:
        """No service, or one that is stopped: a deploy would create or restart it."""
        return self.state is None or self.state is ServiceState.TERMINATED

    @property
    def leaving(self) -> bool:
        """Stopped, or being stopped, or not there."""
        return self.state is None or self.state in _GONE

    @property
    def ours(self) -> Seen | None:
        """The version that this rollout brings, wherever it stands."""
        return next((seen for seen in (self.canary, self.primary) if seen and seen.ours), None)

    @property
    def settled(self) -> int | None:
        """The weight of our canary if it runs there and nothing is on the move; else ``None``."""
        if self.canary is None or not self.canary.ours or not self.canary.running:
            return None
        calm = self.state in {ServiceState.ROLLING_OUT, ServiceState.RUNNING, ServiceState.UNHEALTHY}
        return self.canary.weight if calm else None


def observe(status: ServiceStatus | None, version_name: str, at: float) -> Observation:
    """The service as this rollout sees it; ``status`` is ``None`` when there is no such service."""
    if status is None:
        return Observation(at=at)
    return Observation(
        at=at,
        state=status.state,
        service_id=status.id,
        primary=_seen(status.primary_version, version_name),
        canary=_seen(status.canary_version, version_name),
        multi_version=status.primary_version is None and len(status.versions) > 1,
        message=status.error_message or _unheard(status) or "",
        service=status.name,
        query_url=status.query_url,
        query_auth_token=status.query_auth_token,
    )


def _unheard(status: ServiceStatus) -> str | None:
    """What the server calls a state that is news to this client."""
    words = [status.raw_state, *(version.raw_state for version in status.versions)]
    return next((word for word in words if word), None)


def _seen(version: ServiceVersionStatus | None, version_name: str) -> Seen | None:
    if version is None:
        return None
    ours = version.name == version_name
    return Seen(id=version.id, name=version.name, state=version.state, weight=version.weight, ours=ours)
