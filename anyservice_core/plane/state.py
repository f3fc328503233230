"""What the plane knows of a service and its versions: frozen values, changed only by ``replace``.

A ``Service`` carries its live versions with it, so one value is all that a decision needs and
all that a transaction writes. ``lifecycle`` says which states may follow which, ``reconcile``
moves these values towards what was asked for, ``store`` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.models.enums import ServiceState, ServiceVersionState

__all__ = ["Rollout", "Service", "Slot", "Version"]

Slot = Literal["a", "b"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def replace(self, **changes: Any) -> Self:
        """Give a copy with these fields changed."""
        return self.model_copy(update=changes)


class Version(_Value):
    """One version of a service: what it runs, where, and how far it has come.

    ``weight`` is the share of traffic, in percent, that the router gives it now. ``slot`` is its
    seat at the router, ``None`` while it has none. ``starts`` counts the starts of its host since it
    last ran; ``failed`` says that it will not come up by itself, and ``message`` why.
    """

    id: str
    name: str
    created_at: float
    spec: dict[str, Any]
    engine: str
    state: ServiceVersionState = ServiceVersionState.STARTING
    weight: int = 0
    slot: Slot | None = None
    address: tuple[str, int] | None = None
    message: str = ""
    failed: bool = False
    starts: int = 0
    start_after: float = 0.0
    drain_since: float | None = None

    @property
    def ready(self) -> bool:
        """Whether it has a seat at the router and something listening behind it."""
        return self.slot is not None and self.address is not None


class Rollout(_Value):
    """A change of version under way: how much of the traffic the canary shall have.

    ``automatic`` rollouts climb the platform's ladder by themselves; held ones stay at ``percent``.
    """

    percent: int
    automatic: bool
    since: float


class Service(_Value):
    """A service: the version that serves, the one that is being tried, and those on their way out."""

    id: str
    name: str
    project_id: str
    cloud_id: str
    created_at: float
    port: int
    auth_token: str | None = Field(default=None, repr=False)
    state: ServiceState = ServiceState.STARTING
    primary: Version
    canary: Version | None = None
    rollout: Rollout | None = None
    retiring: tuple[Version, ...] = ()
    error_message: str | None = None
    archived: bool = False
    tags: dict[str, str] = {}
    updated_at: float = 0.0

    @property
    def versions(self) -> tuple[Version, ...]:
        """Every version that still may have a process or a seat at the router."""
        current = (self.primary, self.canary) if self.canary else (self.primary,)
        return (*current, *self.retiring)

    def __contains__(self, version_id: str) -> bool:
        return any(version.id == version_id for version in self.versions)

    def seats(self) -> Iterator[tuple[Slot, Version]]:
        """Who sits where at the router."""
        return ((version.slot, version) for version in self.versions if version.slot)

    @property
    def goal_state(self) -> ServiceState:
        """What was asked for: to serve, or to be gone."""
        gone = (ServiceState.TERMINATING, ServiceState.TERMINATED)
        return ServiceState.TERMINATED if self.state in gone else ServiceState.RUNNING
