"""Services to begin with, made by our client on a plane of the scenario's own."""

from __future__ import annotations

from typing import Any

from anyservice_core import ServiceConfig
from anyservice_core.testing import FakePlane

__all__ = ["APP", "V2", "archived", "rolling_out", "running", "terminated"]

APP = {"import_path": "main:app"}
V2 = {"name": "svc", "version_name": "v2", "applications": [{"import_path": "main:app2"}]}


def running(plane: FakePlane, *, wait: bool = True, **fields: Any) -> None:
    """A service called svc that runs its version v1."""
    with plane.client() as client:
        config = {"name": "svc", "version_name": "v1", "applications": [APP], **fields}
        client.deploy(ServiceConfig(**config))
        if wait:
            client.wait(config["name"])


def rolling_out(plane: FakePlane) -> None:
    """The same, and its version v2 is a canary at 20 percent."""
    running(plane)
    with plane.client() as client:
        client.deploy(ServiceConfig(**V2), canary_percent=20)
        client.wait("svc", state="ROLLING_OUT", version="v2", canary_weight=20)


def terminated(plane: FakePlane) -> None:
    """A service that has come to its end."""
    running(plane)
    with plane.client() as client:
        client.terminate("svc")
        client.wait("svc", state="TERMINATED")


def archived(plane: FakePlane) -> None:
    """One that is hidden, too."""
    terminated(plane)
    with plane.client() as client:
        client.archive("svc")
