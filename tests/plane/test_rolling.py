"""When the plane takes a canary back by itself, and when a host that keeps dying is called broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.plane.engines.base import EngineState, Observed
from tests.plane.world import World


@pytest.fixture
def world() -> World:
    """A service whose v1 serves; a canary may take a minute and be ill for ten seconds."""
    world = World()
    world.options = replace(world.options, rollout_limit_s=60, sick_canary_s=10, steady_s=20)
    world.deploy("v1")
    world.tick(5)
    return world


def sicken(world: World, host: str) -> None:
    world.hosts[host] = Observed(EngineState.UNHEALTHY, world.hosts[host].address, "health check failed")


@pytest.mark.parametrize("percent", [10, None])
def test_a_rollout_that_takes_too_long_is_rolled_back(world, percent):
    """Held or automatic, at its limit the old version gets everything back, and the service says why."""
    world.options = replace(world.options, ladder_hold_s=1000.0)
    world.deploy("v2", percent=percent, code="main:two")
    assert world.tick(115).state is S.ROLLING_OUT
    service = world.tick(20)
    assert (service.state, service.primary.name, service.canary) == (S.RUNNING, "v1", None)
    assert "longer than 1 min" in service.error_message
    assert "'v2'" in service.error_message


def test_a_canary_that_never_comes_up_is_rolled_back_at_the_limit(world):
    """A start without an end is a rollout that takes too long."""
    world.slow.add("main:two")
    world.deploy("v2", percent=10, code="main:two")
    service = world.tick(135)
    assert (service.state, service.canary) == (S.RUNNING, None)
    assert "STARTING" in service.error_message


def test_no_limit_holds_a_rollout_for_ever(world):
    """A limit of 0 is none."""
    world.options = replace(world.options, rollout_limit_s=0)
    world.deploy("v2", percent=10, code="main:two")
    assert world.tick(2000).state is S.ROLLING_OUT


def test_moving_the_weight_does_not_move_the_limit(world):
    """The limit is counted from the deploy that brought the canary, whatever its weight did since."""
    world.deploy("v2", percent=10, code="main:two")
    world.tick(100)
    world.deploy("v2", percent=50, code="main:two")
    assert world.tick(40).canary is None


def test_the_limit_does_not_end_all_service(world):
    """While the canary answers and the primary does not, nothing is rolled back."""
    world.deploy("v2", percent=10, code="main:two")
    world.tick(6)
    world.broken.add("v1")
    world.lose(world.primary.host)
    service = world.tick(200)
    assert (service.state, service.canary.name) == (S.ROLLING_OUT, "v2")


def test_the_ill_canary_of_an_automatic_rollout_is_rolled_back_after_a_while(world):
    """It stays on its rung, may mend, and is taken back with the host's words when it does not."""
    world.deploy("v2", code="main:two")
    world.tick(5)
    canary = world.service.canary
    sicken(world, canary.host)
    service = world.tick(15)
    assert (service.state, service.canary.state) == (S.ROLLING_OUT, V.UNHEALTHY)
    service = world.tick(15)
    assert (service.state, service.canary, service.primary.name) == (S.RUNNING, None, "v1")
    assert "not well for 10 s: health check failed" in service.error_message


def test_an_ill_canary_that_mends_goes_on(world):
    """Health within the grace costs the rollout nothing but the time."""
    world.deploy("v2", code="main:two")
    world.tick(5)
    canary = world.service.canary
    sicken(world, canary.host)
    world.tick(15)
    world.come_up(canary.host)
    assert world.tick(60).primary.name == "v2"


def test_an_ill_canary_that_is_held_is_left_to_who_holds_it(world):
    """Whoever asked for a percent decides; the plane only says UNHEALTHY."""
    world.deploy("v2", percent=10, code="main:two")
    world.tick(5)
    sicken(world, world.service.canary.host)
    service = world.tick(60)
    assert (service.state, service.canary.state) == (S.ROLLING_OUT, V.UNHEALTHY)


def die(world: World, host: str, times: int) -> None:
    """Let a host end right after each of its starts."""
    for _ in range(times):
        while host not in world.running():
            world.tick()
        world.tick(2)
        world.hosts[host] = Observed(EngineState.GONE, message="killed by SIGKILL")
        world.tick()


def test_a_host_that_keeps_dying_is_a_system_failure(world):
    """After ``max_starts`` short lives the service says SYSTEM_FAILURE and what its host's end was."""
    die(world, world.primary.host, 2)
    assert world.tick().state in {S.UNHEALTHY, S.RUNNING}
    die(world, world.primary.host, 1)
    service = world.service
    assert (service.state, service.primary.state) == (S.SYSTEM_FAILURE, V.SYSTEM_FAILURE)
    assert "started 3 times" in service.error_message
    assert "killed by SIGKILL" in service.error_message


def test_one_that_served_before_is_tried_again_and_recovers(world):
    """The plane does not give up on what served: it starts it again, less and less often, until it is well."""
    die(world, world.primary.host, 3)
    service = world.tick(20)
    assert (service.state, service.primary.state) == (S.RUNNING, V.RUNNING)
    assert (service.error_message, service.primary.message) == (None, "")


def test_deaths_far_apart_are_no_system_failure(world):
    """A host that was well for ``steady_s`` in between begins to count anew."""
    for _ in range(6):
        die(world, world.primary.host, 1)
        assert world.tick(60).state is S.RUNNING


def test_a_new_version_whose_host_never_stays_up_is_given_up(world):
    """One that never served is not tried for ever: as a canary it is rolled back, with the reason."""
    world.slow.add("main:two")
    world.deploy("v2", percent=10, code="main:two")
    world.tick(2)
    die(world, world.service.canary.host, 3)
    service = world.tick(10)
    assert (service.state, service.canary) == (S.RUNNING, None)
    assert "keeps dying" in service.error_message


def test_a_first_version_whose_host_never_stays_up_is_given_up():
    """A new service ends in SYSTEM_FAILURE, and a deploy of better code leads out of it."""
    world = World(slow={"main:app"})
    world.deploy("v1")
    world.tick(2)
    die(world, world.primary.host, 3)
    started = len(world.started)
    service = world.tick(400)
    assert (service.state, len(world.started)) == (S.SYSTEM_FAILURE, started)
    world.deploy("v2", code="main:two")
    assert world.tick(40).state is S.RUNNING


def test_a_broken_primary_takes_an_update_in_place(world):
    """SYSTEM_FAILURE is no dead end for an update either."""
    die(world, world.primary.host, 3)
    assert world.deploy(code="main:two", in_place=True).state is S.UPDATING
    assert world.tick(20).state is S.RUNNING


def test_each_version_knows_since_when_it_is_in_its_state(world):
    """``since`` is the moment of the last change of state, and stays while nothing changes."""
    since = world.primary.since
    assert world.tick(50).primary.since == since
    world.lose(world.primary.host)
    assert world.tick().primary.since == world.now
