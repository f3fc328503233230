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
from anyservice_core.plane.capacity import WHOLE, Side
from anyservice_core.plane.engines.base import EngineState, host_id

__all__ = ["Leaving", "Rollout", "Routing", "Service", "Slot", "Update", "Version"]

Slot = Literal["a", "b"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def replace(self, **changes: Any) -> Self:
        """Give a copy with these fields changed."""
        return self.model_copy(update=changes)


class Update(_Value):
    """What a version shall run instead of what it runs now, and how far the host that runs it has come.

    ``starts`` and ``failed`` are that host's, as in ``Version``; ``sick_since`` says since when it has
    been running, but not well.
    """

    generation: int
    spec: dict[str, Any]
    starts: int = 0
    start_after: float = 0.0
    sick_since: float | None = None
    failed: bool = False


class Leaving(_Value):
    """A generation of a version that gave up its seat at ``since``, and whose host is to end."""

    generation: int
    since: float


class Version(_Value):
    """One version of a service: what it runs, where, and how far it has come.

    ``weight`` is the share of traffic, in percent, that the router gives it now. ``slot`` is its
    seat at the router, ``None`` while it has none. ``since`` is when it came into its state, and
    ``host_state`` what its host was last seen to be. ``starts`` counts the starts of its host since it
    last ran for a while; ``served`` says that it once was well, ``failed`` that it will not come up by
    itself, and ``message`` why. ``generation`` grows by one or more with each update in place; ``update``
    is the one under way or the last one, if it failed. ``capacity`` is the percent of its replicas that it
    shall have, and ``present`` the least and the most that it was last seen to have; ``None`` where its engine
    cannot tell (``capacity``).
    """

    id: str
    name: str
    created_at: float
    spec: dict[str, Any]
    engine: str
    state: ServiceVersionState = ServiceVersionState.STARTING
    since: float = 0.0
    host_state: EngineState = EngineState.GONE
    served: bool = False
    weight: int = 0
    slot: Slot | None = None
    address: tuple[str, int] | None = None
    message: str = ""
    failed: bool = False
    starts: int = 0
    start_after: float = 0.0
    drain_since: float | None = None
    generation: int = 1
    update: Update | None = None
    leaving: tuple[Leaving, ...] = ()
    capacity: int = WHOLE
    present: tuple[int, int] | None = None

    @property
    def ready(self) -> bool:
        """Whether it has a seat at the router and something listening behind it."""
        return self.slot is not None and self.address is not None

    @property
    def wanted(self) -> dict[str, Any]:
        """What it was last asked to run; ``spec`` is what it runs."""
        return self.update.spec if self.update else self.spec

    @property
    def host(self) -> str:
        """The id of the host that serves."""
        return self.host_of(self.generation)

    def host_of(self, generation: int) -> str:
        return host_id(self.id, generation)

    @property
    def side(self) -> Side:
        """Its capacity: wanted, and there."""
        return Side(self.capacity, self.present)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host that may run for it: the one that serves, the one that shall, those that did."""
        coming = (self.update.generation,) if self.update else ()
        numbers = (self.generation, *coming, *(left.generation for left in self.leaving))
        return tuple(dict.fromkeys(map(self.host_of, numbers)))


class Rollout(_Value):
    """A change of version under way: how much of the traffic the canary shall have.

    ``automatic`` rollouts climb the platform's ladder by themselves; held ones stay at ``percent``.
    ``since`` is when it came to its present percent; ``surge``: the ``max_surge_percent`` asked for, which paces
    it (``capacity``). ``lasting`` ones are meant to stay as they are, so no limit ends them. A service that is
    ROLLING_BACK has one while the traffic goes back in steps.
    """

    percent: int
    automatic: bool
    since: float
    surge: int | None = None
    lasting: bool = False


class Routing(_Value):
    """What the router last said of a service: ``fault`` if it did not obey; since when."""

    fault: str = ""
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
    second_token: str | None = Field(default=None, repr=False)  # valid too, while clients change over
    state: ServiceState = ServiceState.STARTING
    primary: Version
    canary: Version | None = None
    rollout: Rollout | None = None
    retiring: tuple[Version, ...] = ()
    routing: Routing | None = None
    error_message: str | None = None
    description: str | None = None
    archived: bool = False
    tags: dict[str, str] = {}
    updated_at: float = 0.0

    @property
    def versions(self) -> tuple[Version, ...]:
        """Every version that still may have a process or a seat at the router."""
        current = (self.primary, self.canary) if self.canary else (self.primary,)
        return (*current, *self.retiring)

    @property
    def specs(self) -> tuple[dict[str, Any], ...]:
        """What its versions run, and what they shall run instead."""
        return tuple(spec for version in self.versions for spec in (version.spec, version.wanted))

    def seats(self) -> Iterator[tuple[Slot, Version]]:
        """Who sits where at the router."""
        return ((version.slot, version) for version in self.versions if version.slot)

    @property
    def goal_state(self) -> ServiceState:
        """What was asked for: to serve, or to be gone."""
        gone = (ServiceState.TERMINATING, ServiceState.TERMINATED)
        return ServiceState.TERMINATED if self.state in gone else ServiceState.RUNNING
