"""The reconciling step, driven by hand and by hypothesis: what is asked for is reached, nothing is dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from anyservice_core.errors import ConflictError
from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.plane.changes import roll_back, terminate
from anyservice_core.plane.engines.base import EngineState, Observed
from anyservice_core.plane.lifecycle import SERVICE, VERSION, ServiceEvent, advance, allowed
from anyservice_core.plane.state import Version
from tests.plane.world import World


@pytest.fixture
def world() -> World:
    world = World()
    world.deploy("v1")
    world.tick(5)
    assert world.service.state is S.RUNNING
    return world


def test_new_service_takes_all_traffic():
    """A first deploy ignores the canary percent and serves everything once its host answers."""
    world = World()
    world.deploy("v1", percent=10)
    service = world.tick(4)
    assert (service.state, service.primary.weight, service.primary.ready) == (S.RUNNING, 100, True)


def test_canary_is_held_at_its_percent(world):
    """A canary with a percent gets that weight and keeps it, however long nothing is said."""
    world.deploy("v2", percent=10, code="main:two")
    service = world.tick(500)
    assert (service.state, service.canary.weight, service.primary.weight) == (S.ROLLING_OUT, 10, 90)


def test_seat_before_weight(world):
    """A canary sits at the router before it gets any traffic, and gets none while its host starts."""
    world.deploy("v2", percent=10, code="main:two")
    service = world.tick()
    assert (service.canary.slot, service.canary.weight) == (None, 0)
    service = world.tick()
    assert (service.canary.slot, service.canary.weight) == ("b", 0)
    assert world.tick().canary.weight == 10


def test_weight_moves_with_another_deploy_of_the_same_version(world):
    """Deploying the canary's own configuration again moves its weight and starts nothing."""
    world.deploy("v2", percent=10, code="main:two")
    world.tick(5)
    before = world.service.canary.id
    world.deploy("v2", percent=50, code="main:two")
    service = world.tick(2)
    assert (service.canary.id, service.canary.weight) == (before, 50)


def test_promotion_drains_the_old_version(world):
    """At 100 the canary becomes primary; the old version keeps its host while a request is under way."""
    old = world.service.primary.id
    world.sessions[old] = 1
    world.deploy("v2", percent=100, code="main:two")
    service = world.tick(6)
    assert (service.state, service.primary.name, service.canary) == (S.RUNNING, "v2", None)
    assert old in world.running()
    world.sessions[old] = 0
    service = world.tick(4)
    assert (old in world.running(), service.retiring) == (False, ())


def test_a_drain_ends_at_its_limit(world):
    """A request that never ends holds the old version for ``drain_s`` and no longer."""
    old = world.service.primary.id
    world.sessions[old] = 1
    world.deploy("v2", percent=100, code="main:two")
    world.tick(40)
    assert old not in world.running()


def test_no_promotion_without_the_routers_word(world):
    """While the router does not obey, a canary at 100 is not promoted and nothing is stopped."""
    world.deploy("v2", percent=100, code="main:two")
    world.tick(3)
    assert world.service.canary.weight == 100
    world.routed = False
    service = world.tick(50)
    assert (service.state, service.primary.name, len(world.running())) == (S.ROLLING_OUT, "v1", 2)
    world.routed = True
    assert world.tick(10).primary.name == "v2"


def test_automatic_rollout_climbs_the_ladder(world):
    """Without a percent the canary climbs 5-10-20-30-50-75-100 by itself and becomes primary."""
    world.deploy("v2", code="main:two")
    seen = []
    for _ in range(200):
        service = world.tick()
        if service.canary and service.canary.weight not in seen:
            seen.append(service.canary.weight)
    assert seen == [0, 5, 10, 20, 30, 50, 75, 100]
    assert (service.state, service.primary.name) == (S.RUNNING, "v2")


def test_a_canary_that_fails_to_start_is_rolled_back(world):
    """The plane itself takes back a canary whose host will not come up, and says why."""
    world.broken.add("v2")
    world.deploy("v2", percent=10, code="main:two")
    service = world.tick(10)
    assert (service.state, service.primary.name, service.canary) == (S.RUNNING, "v1", None)
    assert "no module named 'main'" in service.error_message
    assert len(world.running()) == 1


def test_first_version_that_fails_is_unhealthy_with_its_reason():
    """A new service whose application cannot be imported is UNHEALTHY and carries the message."""
    world = World(broken={"v1"})
    world.deploy("v1")
    service = world.tick(5)
    assert (service.state, service.primary.state) == (S.UNHEALTHY, V.UNHEALTHY)
    assert "no module named 'main'" in service.error_message


def test_rollback_keeps_the_primary(world):
    """Rolling back gives the primary, the same as before, all of the traffic at once."""
    primary = world.service.primary.id
    world.deploy("v2", percent=50, code="main:two")
    world.tick(5)
    world.service = roll_back(world.service, world.now)
    assert (world.service.state, world.service.primary.weight) == (S.ROLLING_BACK, 100)
    service = world.tick(6)
    assert (service.state, service.primary.id, service.canary) == (S.RUNNING, primary, None)


def test_rollback_without_a_rollout_is_refused(world):
    """There is nothing to roll back on a service at rest; the refusal says in which states there is."""
    with pytest.raises(ConflictError, match="roll back.*ROLLING_OUT"):
        roll_back(world.service, world.now)


def test_a_third_version_takes_the_canarys_place(world):
    """Deploying in mid-rollout retires the present canary and starts the new one in its seat."""
    world.deploy("v2", percent=10, code="main:two")
    world.tick(5)
    world.deploy("v3", percent=20, code="main:three")
    service = world.tick(10)
    assert (service.canary.name, service.canary.weight, service.canary.slot) == ("v3", 20, "b")
    assert len(world.running()) == 2


def test_a_taken_name_with_other_content_is_refused(world):
    """A version name means one configuration: the same name with another is a conflict."""
    with pytest.raises(ConflictError, match="version_name"):
        world.deploy("v1", percent=10, code="main:other")


def test_a_lost_host_is_started_again(world):
    """A primary whose host dies loses its address at once and is started again by itself."""
    world.hosts[world.service.primary.id] = Observed(EngineState.GONE)
    service = world.tick()
    assert (service.primary.ready, service.primary.state) == (False, V.STARTING)
    assert world.tick(12).state is S.RUNNING


def test_terminate_ends_everything_and_deploy_restarts_under_the_same_id(world):
    """TERMINATED leaves no host; a later deploy is the same service, and ignores its percent."""
    world.deploy("v2", percent=10, code="main:two")
    world.tick(5)
    world.service = terminate(world.service, world.now)
    service = world.tick(10)
    assert (service.state, world.running()) == (S.TERMINATED, set())
    world.deploy("v3", percent=10, code="main:three")
    again = world.tick(5)
    assert (again.id, again.state, again.primary.name, again.primary.weight) == (
        service.id,
        S.RUNNING,
        "v3",
        100,
    )


def test_deploy_while_terminating_is_refused(world):
    """A service on its way out takes no deploy; the message says what to wait for."""
    world.service = terminate(world.service, world.now)
    with pytest.raises(ConflictError, match="TERMINATING"):
        world.deploy("v2", code="main:two")


@pytest.mark.parametrize("state", [s for s in S if s is not S.UNKNOWN])
@pytest.mark.parametrize("event", ServiceEvent)
def test_every_cell_leads_somewhere_or_is_refused(state, event):
    """Each service state and event gives a state of the table or a ConflictError, nothing else."""
    try:
        assert advance(SERVICE, state, event, what="svc") in SERVICE
    except ConflictError as error:
        assert error.status == 409


def test_tables_lead_only_to_their_own_states():
    """Every move of both tables ends in a state that the table knows."""
    for table in (SERVICE, VERSION):
        assert {to for row in table.values() for to in row.values()} <= set(table)


class Plane(RuleBasedStateMachine):
    """Anyone does anything at any moment; the promises hold throughout."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.world.options = replace(self.world.options, rollout_limit_s=40, sick_canary_s=5, steady_s=10)
        self.world.deploy("v0")
        self.number = 0

    @rule(percent=st.one_of(st.none(), st.integers(0, 100)), broken=st.booleans())
    def deploy(self, percent, broken) -> None:
        self.number += 1
        name = f"v{self.number}"
        if broken:
            self.world.broken.add(name)
        if self.world.service.state is not S.TERMINATING:
            self.world.deploy(name, percent=percent, code=f"main:{name}")

    @rule(percent=st.integers(0, 100))
    @precondition(lambda self: self.world.service.canary and self.world.service.state is S.ROLLING_OUT)
    def shift(self, percent) -> None:
        canary = self.world.service.canary
        self.world.deploy(canary.name, percent=percent, code=f"main:{canary.name}")

    @rule(broken=st.booleans())
    def update_in_place(self, broken) -> None:
        self.number += 1
        code = f"main:v{self.number}"
        if broken:
            self.world.broken.add(code)
        if allowed(SERVICE, self.world.service.state, ServiceEvent.UPDATE):
            self.world.deploy(code=code, in_place=True)

    @rule()
    def roll_back(self) -> None:
        if self.world.service.state is S.ROLLING_OUT:
            self.world.service = roll_back(self.world.service, self.world.now)

    @rule()
    def terminate(self) -> None:
        self.world.service = terminate(self.world.service, self.world.now)

    @rule(data=st.data())
    def lose_a_host(self, data) -> None:
        if running := sorted(self.world.running()):
            self.world.hosts[data.draw(st.sampled_from(running))] = Observed(EngineState.GONE)

    @rule(data=st.data())
    def sicken_a_host(self, data) -> None:
        well = sorted(h for h, seen in self.world.hosts.items() if seen.state is EngineState.RUNNING)
        if well:
            host = data.draw(st.sampled_from(well))
            self.world.hosts[host] = replace(
                self.world.hosts[host], state=EngineState.UNHEALTHY, message="ill"
            )

    @rule(times=st.integers(1, 60))
    def tick(self, times) -> None:
        for _ in range(times):
            before = self.world.service
            after = self.world.tick()
            if before.state is S.ROLLING_OUT and after.state is S.ROLLING_BACK:
                self.somebody_serves_still(before, after)

    def somebody_serves_still(self, before, after) -> None:
        """What the plane takes back by itself was no service, or was not the only one."""
        assert after.error_message
        canary = next(v for v in after.versions if v.id == before.canary.id)
        hopeless = canary.failed or "keeps dying" in after.error_message
        assert hopeless or after.primary.ready or not canary.ready

    @rule(routed=st.booleans())
    def router(self, routed) -> None:
        self.world.routed = routed

    @invariant()
    def one_seat_each(self) -> None:
        slots = [slot for slot, _ in self.world.service.seats()]
        assert len(slots) == len(set(slots))

    @invariant()
    def whoever_has_the_seat_has_its_host(self) -> None:
        for version in self.world.service.versions:
            seen = self.world.hosts.get(version.host)
            if version.address and seen and seen.address:
                assert version.address == seen.address

    @invariant()
    def nobody_runs_unknown(self) -> None:
        assert self.world.running() <= {h for v in self.world.service.versions for h in v.hosts}

    @invariant()
    def weights_add_up(self) -> None:
        service = self.world.service
        if service.state not in {S.TERMINATING, S.TERMINATED}:
            assert service.primary.weight + (service.canary.weight if service.canary else 0) == 100

    @invariant()
    def traffic_only_to_those_who_stay(self) -> None:
        leaving: list[Version] = [v for v in self.world.service.versions if v.state is V.TERMINATING]
        assert not any(v.weight for v in leaving)

    def teardown(self) -> None:
        self.world.routed = True
        self.world.sessions.clear()
        if self.world.service.state is S.UPDATING:
            service = self.world.tick(200)
            assert service.state in {S.RUNNING, S.UNHEALTHY, S.SYSTEM_FAILURE}
            assert len(self.world.running()) <= 1
        self.world.service = terminate(self.world.service, self.world.now)
        service = self.world.tick(80)
        assert (service.state, self.world.running()) == (S.TERMINATED, set())


TestPlane = Plane.TestCase
TestPlane.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
