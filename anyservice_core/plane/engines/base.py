"""What an engine is: it runs service versions, each apart from the others and from the plane.

An engine keeps no truth of its own in memory. What it started is written under the state
directory, so a new engine on the same directory finds, observes and stops what an earlier one
started, even if that one was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

__all__ = ["KEPT_S", "Engine", "EngineState", "Observed", "VersionSpec", "host_id", "split_host_id"]

# For how long a version keeps an idle connection: for good. Who has it is the router, which asks by it again and closes
# it when it needs it no more. If the version closed it, a request might just be on its way there, and be lost.
KEPT_S: Final = 100_000_000


def host_id(version_id: str, generation: int) -> str:
    """Name what runs one generation of a version; the first bears the version's own id."""
    return version_id if generation == 1 else f"{version_id}.{generation}"


def split_host_id(host_id: str) -> tuple[str, int]:
    """Give the version's id and the generation that a host's id is made of."""
    version_id, dot, generation = host_id.rpartition(".")
    return (version_id, int(generation)) if dot and generation.isdigit() else (host_id, 1)


@dataclass(frozen=True)
class VersionSpec:
    """What to run: Serve application dicts whose ``runtime_env.working_dir`` is an absolute local folder.

    ``version_id`` is a host's id: that of a version, or of a further generation of it (``host_id``).
    Environment variables in it may be secret, so no application shows in ``repr``. ``cpus`` is how many its
    compute config writes out; ``None``, as many as the engine sees fit. ``capacity`` is the percent of its
    replicas to start with.
    """

    version_id: str
    applications: tuple[Mapping[str, Any], ...] = field(repr=False)
    http_options: Mapping[str, Any] = field(default_factory=dict)
    grpc_options: Mapping[str, Any] = field(default_factory=dict)
    logging_config: Mapping[str, Any] | None = None
    tracing_config: Mapping[str, Any] | None = None
    external_storage: Mapping[str, Any] | None = None  # a Redis for the state of a cluster
    cpus: int | None = None
    capacity: int = 100

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VersionSpec:
        return cls(**{**data, "applications": tuple(data["applications"])})


class EngineState(StrEnum):
    """How a version is doing, as its engine sees it."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"  # may mend by itself
    FAILED = "FAILED"  # will not come up by itself; the message says why
    GONE = "GONE"  # nothing runs


@dataclass(frozen=True)
class Observed:
    """``address`` is where the version answers HTTP, known from RUNNING on; ``message`` is for people.

    If its ``grpc_options`` name anything to answer with, it answers gRPC at the port after that.

    ``under_way`` counts the requests that it is answering, if it can tell. ``capacity`` is the percent of its
    replicas that it has, or will have when it is up: the least and the most, which differ while it scales.
    ``None``: it has no parts, and is there as a whole, or nobody knows.
    """

    state: EngineState
    address: tuple[str, int] | None = None
    message: str = ""
    under_way: int | None = None
    capacity: tuple[int, int] | None = None


class Engine(Protocol):
    """Runs versions. Only ``stop_all`` blocks; every other call returns within a second.

    A version that is updated in place has two generations for a while, each with an id of its own
    (``host_id``), each started, observed and stopped by itself. How much they share below that is the
    engine's choice: nothing, or a cluster in which both have their replicas. Who has the traffic is not:
    a generation that says RUNNING answers at its address, whatever the other one does.
    """

    @property
    def name(self) -> str: ...

    def check(self) -> None:
        """Raise ``PlaneError`` if this engine cannot run here, for example because Ray is not installed."""

    def start(self, spec: VersionSpec) -> None:
        """Begin to run a version and return at once. Does nothing if its host lives already.

        Raises ``PlaneError`` if it cannot even begin.
        """

    def observe(self, version_id: str) -> Observed:
        """Say how a version is doing. Never raises; ``GONE`` when nothing runs."""
        ...

    def scale(self, version_id: str, percent: int) -> None:
        """Let a version have this percent of its replicas, and at least one of each kind; return at once.

        Does nothing if that was asked for already, if nothing runs, or if a version has no parts here. All
        generations of a version have the same.
        """

    def stop(self, version_id: str) -> None:
        """Ask a version to stop and return at once; insist a little more on each later call."""

    def known(self) -> set[str]:
        """Versions that were started and not yet stopped to the end, by this or an earlier plane."""
        ...

    def stop_all(self) -> None:
        """Stop every known version and block until no process of theirs is left."""
