"""The loop over hosts and a router on paper: what must not depend on when a request or the plane's end comes."""

from __future__ import annotations

import pytest

from anyservice_core.models.enums import ServiceState as S
from tests.plane.api import body, served
from tests.plane.universe import Universe


@pytest.fixture
def universe(tmp_path):
    universe = Universe(tmp_path)
    yield universe
    universe.store.close()


def deploy(universe, name="svc", code="main:one", **more):
    return universe.ask("PUT", "/apply", body(name=name, ray_serve_config=served(code), **more))


def test_a_host_outlives_the_traffic_that_the_router_still_sends_it(universe):
    """A rollback that comes between two ticks ends no host before the router has heard of it."""
    deploy(universe)
    universe.settle(20)
    deploy(universe, code="main:two", canary_percent=50)
    universe.settle(20)
    service = universe.find("svc")
    assert universe.proxy.pull(service.canary.address) == 50
    universe.ask("POST", f"/{service.id}/rollback", {})
    universe.tick()
    assert service.canary.host in universe.hosts.running()
    universe.tick(4)
    assert service.canary.host not in universe.hosts.running()


def test_a_disk_that_was_full_is_used_again_when_it_is_not(universe):
    """A commit that fails leaves no open transaction, in which all that follows would be lost."""
    universe.fill_the_disk(full=True)
    assert deploy(universe) is None
    universe.fill_the_disk(full=False)
    assert deploy(universe).status == 200
    assert [service.name for service in universe.kept().values()] == ["svc"]


def test_a_host_that_was_never_started_is_not_one_that_keeps_dying(universe):
    """However often the plane dies just before it starts a host, the version is as good as it was."""
    deploy(universe)
    for _ in range(10):
        universe.fuse.left, universe.fuse.only = 1, "start"
        universe.tick(seconds=61)
    assert (universe.hosts.running(), universe.restarts) == ([], 10)
    universe.settle()
    assert universe.find("svc").state is S.RUNNING


def test_a_fault_of_the_router_is_told_again_when_it_comes_again(universe, caplog):
    """Once while it lasts, and once more after it was over."""
    deploy(universe)
    for refuses in (True, True, False, True):
        universe.proxy.refuses = refuses
        universe.tick()
    assert caplog.text.count("the router does not answer") == 2
