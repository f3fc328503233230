"""When a wait is over. One pure function decides; the CLI, Airflow and Prefect only loop around it.

``judge(status, goal)`` says *reached*, *pending* or *failed*:

* A goal that names a version is reached when *that* version is healthy at the wanted weight. Without a
  weight it must be the primary one with all the traffic. What the service says about itself is not enough:
  a service is RUNNING also after our version was taken back.
* A version that is alone has all the traffic, so its share of it too: the first version of a service has nobody to
  share with, and one that was promoted meanwhile has been past any weight.
* A wait fails early on what cannot lead to its goal: a service that is gone or going, a version that is
  neither primary nor canary any more, a rollback under way, a service that stays UNHEALTHY and says why.
* A weight without a version is about whichever is the canary. Where none is there and the service stays RUNNING, none is
  to come: it was the first version, or was promoted or taken back, and only its name could tell which. Who waits
  for a canary that somebody is yet to deploy waits for the state ROLLING_OUT with it.
* Everything else is pending, states that are news to this client included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from anyservice_core.errors import ConfigError
from anyservice_core.models.enums import ServiceState, ServiceVersionState
from anyservice_core.models.status import ServiceStatus, ServiceVersionStatus

__all__ = ["LONE_POLLS", "UNHEALTHY_POLLS", "Failed", "Goal", "Pending", "Reached", "Verdict", "judge"]

UNHEALTHY_POLLS = 3
LONE_POLLS = 3
_GONE = frozenset({ServiceState.TERMINATING, ServiceState.TERMINATED, ServiceState.SYSTEM_FAILURE})
_ENDED = frozenset({ServiceState.TERMINATED, ServiceState.TERMINATING})
_DEAD = frozenset(
    {ServiceVersionState.SYSTEM_FAILURE, ServiceVersionState.TERMINATING, ServiceVersionState.TERMINATED}
)
_SERVING = frozenset({ServiceState.RUNNING, ServiceState.ROLLING_OUT})


@dataclass(frozen=True, slots=True)
class Goal:
    """What to wait for: a state, or a version (its name or id) at a weight in percent, or both."""

    states: frozenset[ServiceState] = frozenset({ServiceState.RUNNING})
    version: str | None = None
    canary_weight: int | None = None

    @classmethod
    def of(
        cls,
        state: str | ServiceState | Iterable[str | ServiceState] = "RUNNING",
        version: str | None = None,
        canary_weight: int | None = None,
    ) -> Goal:
        """A goal from what a user writes; ``ConfigError`` where that is not a goal."""
        named = [state] if isinstance(state, str) else [*state]
        if canary_weight is not None and not 0 <= canary_weight <= 100:
            raise ConfigError(f"canary_weight: {canary_weight} is not a percentage from 0 to 100.")
        if not named:
            raise ConfigError("state: empty; give at least one, such as RUNNING.")
        return cls(frozenset(_state(name) for name in named), version, canary_weight)

    def __str__(self) -> str:
        if self.is_about_the_service:
            return " or ".join(sorted(self.states))
        who = f"version {self.version!r}" if self.version else "the canary"
        return f"{who} healthy at {100 if self.canary_weight is None else self.canary_weight}%"

    @property
    def is_about_the_service(self) -> bool:
        """Whether the state alone decides: no weight asked for, and no version, or another state than RUNNING."""
        return self.canary_weight is None and (self.version is None or self.states != {ServiceState.RUNNING})

    @property
    def is_an_end(self) -> bool:
        """Whether the goal is that nothing serves any more."""
        return self.states <= _ENDED

    @property
    def is_about_a_canary(self) -> bool:
        """Whether a canary has to be there, and already: of no name, at less than all."""
        shared = self.canary_weight is not None and self.canary_weight < 100
        return shared and self.version is None and ServiceState.RUNNING in self.states


@dataclass(frozen=True, slots=True)
class Reached:
    """The goal is reached."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Not yet; ``reason`` says what is awaited."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not be reached; ``reason`` says why."""

    reason: str


Verdict: TypeAlias = Reached | Pending | Failed


def _state(name: str | ServiceState) -> ServiceState:
    try:
        return ServiceState[str(name).upper()]
    except KeyError:
        known = ", ".join(ServiceState)
        raise ConfigError(f"state: {str(name)!r} is not a state.", hint=f"States are {known}.") from None


# ── the verdict ─────────────────────────────────────────────────────────────


def judge(status: ServiceStatus, goal: Goal, *, unhealthy_polls: int = 0, lone_polls: int = 0) -> Verdict:
    """Whether the goal is reached, pending or out of reach.

    ``unhealthy_polls`` counts how often in a row the service was UNHEALTHY with an error message, and
    ``lone_polls`` how often RUNNING with one version alone, this time included; a caller that does not remember may
    leave them out and then never fails for that.
    """
    if doom := _doom(status, goal, unhealthy_polls) or _lone_doom(status, goal, lone_polls):
        return Failed(doom)
    if goal.is_about_the_service:
        return Reached() if status.state in goal.states else Pending(f"waiting for {goal}")
    return _at_weight(status, goal)


def _doom(status: ServiceStatus, goal: Goal, unhealthy_polls: int) -> str | None:
    """Why the goal is out of reach, if it is."""
    if status.state in goal.states and goal.version is None:
        return None
    if status.state in _GONE and not goal.is_an_end:
        return f"the service is {status.state}{_because(status)}"
    if status.state is ServiceState.UNHEALTHY and unhealthy_polls >= UNHEALTHY_POLLS:
        return f"the service stays UNHEALTHY{_because(status)}"
    return _version_doom(status, goal.version) if goal.version and not goal.is_an_end else None


def _lone_doom(status: ServiceStatus, goal: Goal, lone_polls: int) -> str | None:
    """A look or two may come before the canary is to be seen."""
    if lone_polls < LONE_POLLS or not goal.is_about_a_canary or status.primary_version is None:
        return None
    return (
        f"there is no canary, version {status.primary_version.name!r} has all the traffic. It may be the first one, or "
        f"the canary was promoted or taken back{_because(status)}; naming the version tells which"
    )


def _version_doom(status: ServiceStatus, name: str) -> str | None:
    version = status.version(name)
    if version is None:
        return f"version {name!r} is neither primary nor canary: it was rolled back or replaced{_because(status)}"
    if version.state in _DEAD:
        return f"version {name!r} is {version.state}{_because(status)}"
    if status.state is ServiceState.ROLLING_BACK and _is_canary(status, version):
        return f"version {name!r} is being rolled back{_because(status)}"
    return None


def _at_weight(status: ServiceStatus, goal: Goal) -> Verdict:
    version = status.version(goal.version) if goal.version else status.canary_version
    wanted = 100 if goal.canary_weight is None else goal.canary_weight
    if wanted == 100:
        return _promoted(status, version or (None if goal.version else status.primary_version))
    if version is not None and status.canary_version is None:
        return _promoted(status, version)
    if version is not None and not _is_canary(status, version):
        return Pending(f"version {version.name!r} is the primary one, beside a canary")
    if version is None:
        return Pending(f"no canary yet, waiting for {goal}")
    return _healthy(status, version, wanted)


def _promoted(status: ServiceStatus, version: ServiceVersionStatus | None) -> Verdict:
    if version is None or _is_canary(status, version) or status.canary_version is not None:
        return Pending("waiting for the promotion to finish")
    if status.state is not ServiceState.RUNNING:
        return Pending(f"promoted, waiting for the service to be RUNNING{_because(status)}")
    return _healthy(status, version, 100)


def _healthy(status: ServiceStatus, version: ServiceVersionStatus, weight: int) -> Verdict:
    if version.weight != weight:
        return Pending(f"at {version.weight}%, waiting for {weight}%")
    if version.state is not ServiceVersionState.RUNNING:
        return Pending(f"at {weight}%, waiting for the version to be RUNNING; it is {version.state}")
    if status.state not in _SERVING:
        return Pending(f"at {weight}%, the service is {status.state}{_because(status)}")
    return Reached()


def _is_canary(status: ServiceStatus, version: ServiceVersionStatus) -> bool:
    return status.canary_version is not None and status.canary_version.id == version.id


def _because(status: ServiceStatus) -> str:
    return f" ({status.error_message})" if status.error_message else ""
