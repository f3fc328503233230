"""Prefect's own server for the tests, and planes that live in memory."""
# ruff: noqa: E402  # Prefect reads its environment when it is imported

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

# Read when Prefect is imported: a home of its own, since a newer Prefect's database breaks an older one.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="anyservice-prefect-")
atexit.register(shutil.rmtree, os.environ["PREFECT_HOME"], ignore_errors=True)
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "true"
os.environ["PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"] = "ignore"
os.environ.pop("PREFECT_API_URL", None)

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness
from pydantic import PrivateAttr

from anyservice_core import AsyncClient, Client, RolloutPlan, ServiceConfig
from anyservice_core.rollout.identity import rollout_key, version_name
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials

NUMBERS = itertools.count(1)
HERE = Path(__file__).parent
# What Prefect leaves lying about, and no fault of ours: sockets of its clients' own threads.
THEIRS = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            for warning in THEIRS:
                item.add_marker(pytest.mark.filterwarnings(warning))


class PlaneCredentials(AnyserviceCredentials):
    """Credentials for a plane in memory."""

    _block_type_name = "Anyservice Test Plane"
    _block_type_slug = "anyservice-test-plane"
    _plane: FakePlane = PrivateAttr()

    @classmethod
    def of(cls, plane: FakePlane) -> Self:
        credentials = cls()
        credentials._plane = plane
        return credentials

    def get_client(self, **options: Any) -> Client:
        return self._plane.client(**options)

    def get_async_client(self, **options: Any) -> AsyncClient:
        return self._plane.async_client(**options)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server on SQLite, once a session: it takes half a minute to come up.

    Without heartbeats, which tell of flows that crash: their thread costs each flow here a second at its end.
    """
    still = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with prefect_test_harness(server_startup_timeout=180), temporary_settings(still):
        yield


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A whole Prefect, server, worker and all, beside a real plane (see ``server.py``)."""
    from tests.prefect.server import House

    house = House(tmp_path_factory.mktemp("house"))
    try:
        house.start()
        yield house
    finally:
        house.stop()


@pytest.fixture
def service() -> str:
    """A name for this test alone, as Prefect's server remembers the rollouts of other tests."""
    return f"svc-{next(NUMBERS)}"


@pytest.fixture
def config(service: str) -> Callable[[str], ServiceConfig]:
    """``config("v2")``: the service with another version."""

    def version(name: str) -> ServiceConfig:
        app = {"import_path": "main:app"}
        return ServiceConfig(name=service, version_name=name, applications=[app])

    return version


@pytest.fixture
def plane(config: Callable[[str], ServiceConfig]) -> Iterator[FakePlane]:
    """A plane on which version v1 of the service runs."""
    with FakePlane() as plane:
        with plane.client() as client:
            client.deploy(config("v1"))
            client.wait(config("v1").name)
        yield plane


@pytest.fixture
def rolled_name() -> Callable[[ServiceConfig], str]:
    """What a rollout will call the version of a config."""
    return lambda config: version_name(config, rollout_key(config))


@pytest.fixture
def credentials(plane: FakePlane) -> PlaneCredentials:
    return PlaneCredentials.of(plane)


@pytest.fixture
def plan() -> RolloutPlan:
    """Two steps that users' requests judge."""
    metrics = [{"name": "errors", "provider": "router"}]
    return RolloutPlan.parse({"steps": [10, 50], "bake": "30s", "metrics": metrics})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
