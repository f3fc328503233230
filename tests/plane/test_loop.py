"""In which order the plane tells whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from anyservice_core.models.config import RayGCSExternalStorageConfig, ServiceConfig, TracingConfig
from anyservice_core.testing import FakePlane

ONE = ServiceConfig(name="svc", version_name="one", applications=[{"import_path": "main:app"}])
TWO = ServiceConfig(name="svc", version_name="two", applications=[{"import_path": "next:app"}])


@dataclass
class Witness:
    """Stands before the router: what did the store tell when the router was told something new?"""

    plane: FakePlane
    router: Any
    told: list[tuple[dict[str, int], dict[str, int]]] = field(default_factory=list)
    meanwhile: Any = None

    def counters(self) -> Any:
        return self.router.counters()

    def apply(self, routes: Any) -> None:
        known = {v.id: v.weight for s in self.plane.store.services() for _, v in s.seats()}
        new = {s.version_id: s.weight for r in routes for s in r.servers.values() if s}
        self.told.append((new, known))
        self.router.apply(routes)
        if self.meanwhile:
            act, self.meanwhile = self.meanwhile, None
            act()


@pytest.fixture
def witness(plane):
    witness = Witness(plane, plane.router)
    plane._loop.router = witness
    return witness


def weights(plane):
    """Who has how much, as clients are told."""
    status = plane.client().status("svc")
    both = (status.primary_version, status.canary_version)
    return {version.name: version.weight for version in both if version}


def test_clients_are_told_of_a_weight_after_the_router(plane, witness):
    """Whoever reads that a version has no traffic can rely on it: the router knew before the store did."""
    with plane.client() as client:
        client.deploy(ONE)
        client.wait("svc")
        client.deploy(TWO, canary_percent=50)
        client.wait("svc", state="ROLLING_OUT", version="two", canary_weight=50)
        witness.told.clear()
        client.shift("svc", canary_percent=0)
        plane.advance(5)
    first = next((known for new, known in witness.told if 0 in new.values()), None)
    assert first is not None
    assert 50 in first.values()


def test_what_is_asked_for_in_the_middle_of_a_step_is_not_written_over(plane, witness):
    """A weight that was asked for while the router was told of another is kept, and reached."""
    with plane.client() as client:
        client.deploy(ONE)
        client.wait("svc")
        client.deploy(TWO, canary_percent=50)
        client.wait("svc", state="ROLLING_OUT", version="two", canary_weight=50)
        client.shift("svc", canary_percent=20)
        witness.meanwhile = lambda: client.shift("svc", canary_percent=80)
        plane.advance(5)
    assert weights(plane) == {"one": 20, "two": 80}
    assert {server.weight for server in plane.router.routes[0].servers.values()} == {20, 80}


def test_an_engine_is_told_all_that_a_version_asks_of_it():
    """Every field of a configuration that says how to run."""
    storage = RayGCSExternalStorageConfig(enabled=True, address="127.0.0.1:6379")
    tracing = TracingConfig(enabled=True, exporter_import_path="spans:export", sampling_ratio=0.5)
    asked = ONE.options(
        http_options={"keep_alive_timeout_s": 5},
        logging_config={"log_level": "DEBUG"},
        ray_gcs_external_storage_config=storage,
        tracing_config=tracing,
    )
    with FakePlane() as plane, plane.client() as client:
        client.deploy(asked)
        client.wait("svc")
        [told] = plane.engine.specs.values()
        [route] = plane.router.routes
    assert told.http_options == {"keep_alive_timeout_s": 5}
    assert route.keep_alive_s == 5
    assert told.logging_config == {"log_level": "DEBUG"}
    assert (told.external_storage["enable"], told.external_storage["address"]) == (True, "127.0.0.1:6379")
    assert told.tracing_config == {
        "enabled": True,
        "exporter_import_path": "spans:export",
        "sampling_ratio": 0.5,
    }
