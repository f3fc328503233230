"""What ``max_surge_percent`` promises: no more capacity in all than it allows for, and traffic only where that is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.plane.capacity import LEAST, LEAST_STEP, Side, Split, alone, pace, room
from anyservice_core.plane.changes import roll_back
from anyservice_core.plane.engines.base import EngineState, Observed
from tests.plane.world import World

percents = st.integers(0, 100)
surges = st.integers(0, 99)


# ── the step by itself ──────────────────────────────────────────────────────


class Course:
    """A paced rollout on paper: what is asked for is there as soon as ``arrive`` says so."""

    def __init__(self, surge: int, weight: int) -> None:
        self.surge = surge
        self.most = 100 + max(surge, LEAST_STEP)
        self.split = Split(max(LEAST, 100 - weight), max(LEAST, weight), weight)
        self.there = [(self.split.primary,) * 2, (self.split.canary,) * 2]
        self.moves = 0

    @property
    def wanted(self) -> tuple[int, int]:
        return self.split.primary, self.split.canary

    @property
    def sides(self) -> tuple[Side, Side]:
        return Side(self.split.primary, self.there[0]), Side(self.split.canary, self.there[1])

    def step(self, goal: int, *, obeyed: bool = True) -> bool:
        """Take a step; say whether it changed anything."""
        before, (primary, canary) = self.split, self.sides
        weight = before.weight
        self.split = pace(primary, canary, weight=weight, goal=goal, surge=self.surge, obeyed=obeyed)
        self.there = [
            (min(side.ready, n), max(side.taken, n)) for side, n in zip(self.sides, self.wanted, strict=True)
        ]
        assert self.split.weight <= max(weight, canary.ready), "traffic for a canary that cannot bear it"
        assert 100 - self.split.weight <= max(100 - weight, primary.ready), "the same for the primary"
        assert min(weight, goal) <= self.split.weight <= max(weight, goal)
        assert self.split.canary >= max(LEAST, self.split.weight)
        assert self.split.primary >= max(LEAST, 100 - self.split.weight)
        assert self.split.primary + self.split.canary <= self.most
        assert sum(side.taken for side in self.sides) <= self.most, "more in all than the surge allows for"
        if not obeyed and self.split.weight == weight:
            shrinks = (
                (before.primary, self.split.primary) if goal >= weight else (before.canary, self.split.canary)
            )
            assert shrinks[0] == shrinks[1], "smaller before the router sends it less"
        self.moves += self.split.weight != weight
        return self.split != before

    def arrive(self, *whether: bool) -> bool:
        """Let those of both who may be where they shall be; say whether any was not."""
        before = self.there
        self.there = [
            (wanted, wanted) if may else there
            for there, wanted, may in zip(before, self.wanted, whether or (True, True), strict=True)
        ]
        return self.there != before

    def reach(self, goal: int) -> None:
        while self.step(goal) or self.arrive():
            assert self.moves <= -(-100 // max(self.surge, LEAST_STEP)), "more rounds than it takes"


@given(st.data(), surges, percents, st.lists(st.tuples(percents, st.integers(0, 12)), max_size=4))
def test_whatever_is_late_and_whoever_changes_his_mind(data, surge, weight, goals):
    """With any lag of either version and of the router, and goals that change under way, every promise holds."""
    course = Course(surge, weight)
    for goal, steps in goals:
        for _ in range(steps):
            course.step(goal, obeyed=data.draw(st.booleans()))
            course.arrive(data.draw(st.booleans()), data.draw(st.booleans()))


@given(surges, percents, percents)
def test_every_goal_is_reached_in_both_directions(surge, weight, goal):
    """Once the versions do as they are told, the canary comes to its percent and neither has more than its share."""
    course = Course(surge, weight)
    course.reach(goal)
    assert course.split.weight == goal
    assert course.split.canary == max(LEAST, goal)
    if goal < 100:
        assert course.split.primary == 100 - goal


@given(surges, percents, percents, st.integers(0, 100))
def test_what_another_rollout_left_behind_counts(surge, weight, goal, leaving):
    """Capacity of a version on its way out is kept from the canary, which has its present share and no more."""
    course = Course(surge, weight)
    primary, canary = course.sides
    split = pace(primary, canary, weight=weight, goal=goal, surge=surge, leaving=leaving)
    first = alone(goal, surge, leaving)
    assert first.canary <= max(LEAST, course.most - 100 - leaving)
    assert split.canary <= max(course.split.canary, course.most - leaving - course.split.primary)


@pytest.mark.parametrize("surge", [None, 100])
def test_room_for_two_changes_nothing(surge):
    """Without a surge below 100 both have all that they ask for, and the weight is where it shall be at once."""
    whole = Side(100, (100, 100))
    assert room(surge) is None
    assert alone(40, surge) == Split(100, 100, 0)
    assert pace(whole, whole, weight=0, goal=40, surge=surge) == Split(100, 100, 40)
    assert pace(whole, whole, weight=40, goal=5, surge=surge) == Split(100, 100, 5)


def test_room_for_two_after_less_waits_until_it_is_there():
    """Whoever gives up pacing asks for all of both, and traffic still follows what is there."""
    primary, canary = Side(100, (75, 100)), Side(100, (60, 100))
    assert pace(Side(75), Side(25, (25, 25)), weight=25, goal=90, surge=None) == Split(100, 100, 25)
    assert pace(primary, canary, weight=25, goal=90, surge=None) == Split(100, 100, 60)
    assert pace(primary, canary, weight=60, goal=0, surge=None) == Split(100, 100, 25)


def test_a_change_of_mind_counts_for_what_it_may_have_left():
    """A canary told to come back from 50 before it was there takes up to that until it is seen settled."""
    told = pace(Side(75, (75, 75)), Side(25, (25, 50)), weight=25, goal=0, surge=25)
    assert told == Split(75, 25, 25)
    assert pace(Side(75, (75, 75)), Side(25, (25, 25)), weight=25, goal=0, surge=25) == Split(100, 25, 25)


def test_an_engine_that_cannot_tell_has_it_at_once():
    """Where a version has no parts, what is wanted counts as there."""
    split = pace(Side(100), Side(25), weight=0, goal=100, surge=25)
    assert split == Split(100, 25, 25)
    assert pace(Side(100), Side(25), weight=25, goal=100, surge=25) == Split(75, 25, 25)
    assert pace(Side(75), Side(25), weight=25, goal=100, surge=25) == Split(75, 50, 25)


@pytest.mark.parametrize(("surge", "taken"), [(0, 10), (9, 10), (10, 10), (99, 99)])
def test_there_is_a_least_step(surge, taken):
    """A surge with which a rollout would never end, or take a hundred rounds, is taken as a tenth."""
    assert room(surge) == taken


# ── services ────────────────────────────────────────────────────────────────


@pytest.fixture
def world() -> World:
    """A service whose v1 serves, on an engine that takes two seconds to come to another capacity."""
    world = World(late=3)
    world.deploy("v1")
    world.tick(5)
    return world


def seen(world: World, ticks: int) -> list[tuple[int, int, int]]:
    """Give (primary's capacity, canary's capacity, canary's weight) wherever it changed."""
    found: list[tuple[int, int, int]] = []
    for _ in range(ticks):
        service = world.tick()
        canary = service.canary
        now = (service.primary.capacity, canary.capacity if canary else 0, canary.weight if canary else 0)
        if not found or found[-1] != now:
            found.append(now)
    return found


def test_a_canary_starts_with_its_part_and_moves_in_steps(world):
    """The canary's host never starts whole; capacity, weight and the primary's way down take turns."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    assert world.service.canary.capacity == 25
    course = seen(world, 100)
    assert course == [
        (100, 25, 0),
        (100, 25, 25),
        (75, 25, 25),
        (75, 50, 25),
        (75, 50, 50),
        (50, 50, 50),
        (50, 60, 50),
        (50, 60, 60),
        (40, 60, 60),
    ]
    service = world.service
    assert (service.primary.present, service.canary.present) == ((40, 40), (60, 60))


@pytest.mark.parametrize("more", [{}, {"max_surge_percent": 100}])
def test_no_engine_is_asked_to_scale_without_a_surge(world, more):
    """The default costs no call: a rollout to its end, and one that is taken back, scale nothing."""
    world.deploy("v2", percent=60, code="main:two", **more)
    world.tick(10)
    world.service = roll_back(world.service, world.now, surge=more.get("max_surge_percent"))
    world.tick(20)
    world.deploy("v3", code="main:three", **more)
    service = world.tick(200)
    assert (service.primary.name, world.scaled) == ("v3", [])


def test_a_promoted_canary_has_all(world):
    """An automatic rollout climbs its rungs with a tenth to spare, and what serves in the end is whole."""
    world.deploy("v2", code="main:two", max_surge_percent=10)
    weights = [weight for *_, weight in seen(world, 600)]
    assert [w for w in dict.fromkeys(weights) if w] == [5, 10, 20, 30, 40, 50, 60, 70, 75, 85, 95, 100]
    service = world.service
    assert (service.state, service.primary.name) == (S.RUNNING, "v2")
    assert (service.primary.capacity, service.primary.present) == (100, (100, 100))


def test_a_rung_is_held_from_when_its_weight_was_reached(world):
    """Time on the way to a rung is not time on it."""
    world.late = 12
    world.options = replace(world.options, ladder=(50, 100), ladder_hold_s=20.0)
    world.deploy("v2", code="main:two", max_surge_percent=25)
    reached = left = 0.0
    while not left:
        service = world.tick()
        if service.canary and service.canary.weight == 50:
            reached = reached or world.now
        if reached and service.rollout and service.rollout.percent == 100:
            left = world.now
    assert left - reached >= 20.0


def test_a_rollback_is_at_once_whatever_the_primary_has(world):
    """Safety first: a canary that is taken back loses all its traffic now, and the primary is asked for all."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    world.tick(100)
    primary = world.service.primary
    world.service = roll_back(world.service, world.now)
    world.tick()
    assert (world.service.primary.weight, world.service.canary.state) == (100, V.TERMINATING)
    assert (primary.host, 100) in world.scaled
    service = world.tick(20)
    assert (service.state, service.primary.present, service.canary) == (S.RUNNING, (100, 100), None)


def test_a_rollback_with_a_surge_goes_back_as_the_primary_comes(world):
    """The canary keeps what the primary cannot bear yet, and ends when it has nothing."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=50)
    world.tick(100)
    world.service = roll_back(world.service, world.now, surge=30)
    assert (world.service.state, world.service.canary.weight) == (S.ROLLING_BACK, 60)
    course = seen(world, 60)
    assert course[:8] == [
        (70, 60, 60),
        (70, 60, 30),
        (70, 30, 30),
        (100, 30, 30),
        (100, 30, 0),
        (100, 0, 0),
    ]
    assert (world.service.state, world.service.primary.name) == (S.RUNNING, "v1")
    assert world.service.primary.present == (100, 100)


@pytest.mark.parametrize("fault", ["gone", "failed", "ill"])
def test_a_canary_that_is_not_well_keeps_no_traffic_on_the_way_back(world, fault):
    """Pacing a rollback is for a canary that can bear it: one that cannot loses everything at once."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    world.tick(100)
    canary = world.service.canary
    world.service = roll_back(world.service, world.now, surge=25)
    world.tick()
    ends = {"gone": EngineState.GONE, "failed": EngineState.FAILED, "ill": EngineState.UNHEALTHY}
    world.hosts[canary.host] = Observed(ends[fault], canary.address if fault == "ill" else None, "no")
    service = world.tick()
    assert (service.primary.weight, service.canary.weight, service.primary.capacity) == (100, 0, 100)
    assert service.canary.state is V.TERMINATING
    assert world.tick(30).state is S.RUNNING


def test_a_second_rollback_without_a_surge_is_at_once(world):
    """Whoever is in a hurry after all says so again."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    world.tick(100)
    world.service = roll_back(world.service, world.now, surge=25)
    world.tick(2)
    world.service = roll_back(world.service, world.now)
    assert (world.service.primary.weight, world.service.canary.state) == (100, V.TERMINATING)


def test_a_rollback_that_never_ends_is_at_once_at_the_limit(world):
    """A primary that does not come up to its capacity holds the traffic back for as long as a rollout may take."""
    world.options = replace(world.options, rollout_limit_s=60.0)
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    world.tick(100)
    world.late = 10_000
    world.service = roll_back(world.service, world.now, surge=25)
    assert world.tick(118).state is S.ROLLING_BACK
    service = world.tick(20)
    assert (service.state, service.primary.weight, service.canary) == (S.RUNNING, 100, None)


def test_a_rollback_may_be_turned_into_a_rollout_again(world):
    """The version that is on its way back, deployed once more, goes out again as it is."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    world.tick(100)
    canary = world.service.canary
    world.service = roll_back(world.service, world.now, surge=25)
    world.tick(3)
    service = world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    assert (service.state, service.canary.id) == (S.ROLLING_OUT, canary.id)
    assert world.tick(60).canary.weight == 60


def test_a_canary_that_dies_begins_anew_with_what_is_left(world):
    """Its traffic goes to the primary at once, which is asked for all; its next host starts with the surge's part."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    world.tick(100)
    world.lose(world.service.canary.host)
    service = world.tick()
    assert (service.primary.weight, service.primary.capacity) == (100, 100)
    assert (service.canary.weight, service.canary.capacity) == (0, 25)
    world.tick(2)
    assert world.hosts[service.canary.host].capacity == (25, 25)
    service = world.tick(100)
    assert (service.primary.present, service.canary.present, service.canary.weight) == (
        (40, 40),
        (60, 60),
        60,
    )


def test_a_primary_that_dies_in_mid_rollout_comes_back_with_its_part(world):
    """Its host is started again with the capacity of its share, not with all."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    world.tick(100)
    world.lose(world.primary.host)
    world.tick(10)
    assert world.hosts[world.primary.host].capacity == (40, 40)
    assert world.tick(10).primary.capacity == 40


def test_a_third_deploy_waits_for_what_the_second_took(world):
    """The canary that is replaced counts until it is gone; the next one starts with the least there is."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    world.tick(100)
    world.deploy("v3", percent=60, code="main:three", max_surge_percent=25)
    service = world.tick()
    assert (service.primary.weight, service.primary.capacity, service.canary.capacity) == (100, 100, LEAST)
    service = world.tick(150)
    assert (service.canary.name, service.canary.weight, service.retiring) == ("v3", 60, ())


def test_less_surge_than_before_makes_room_first(world):
    """A deploy again with a smaller surge keeps to that one from then on."""
    world.deploy("v2", percent=10, code="main:two", max_surge_percent=50)
    world.tick(40)
    world.deploy("v2", percent=90, code="main:two", max_surge_percent=20)
    for _ in range(100):
        service = world.tick()
        assert service.primary.side.taken + service.canary.side.taken <= 120
    assert service.canary.weight == 90


def test_a_surge_goes_for_the_whole_rollout(world):
    """Whoever moves the weight later, as a plan's steps do, need not say it again."""
    world.deploy("v2", percent=20, code="main:two", max_surge_percent=25)
    world.tick(60)
    world.deploy("v2", percent=70, code="main:two")
    service = world.tick(80)
    assert (service.primary.present, service.canary.present, service.canary.weight) == (
        (30, 30),
        (70, 70),
        70,
    )


def test_pacing_may_be_given_up(world):
    """Deployed again with room for two, both versions come to all that they ask for."""
    world.deploy("v2", percent=50, code="main:two", max_surge_percent=25)
    world.tick(60)
    world.deploy("v2", percent=70, code="main:two", max_surge_percent=100)
    service = world.tick(20)
    assert (service.primary.present, service.canary.present, service.canary.weight) == (
        (100, 100),
        (100, 100),
        70,
    )


def test_an_update_in_place_after_a_rollout_starts_whole(world):
    """What comes under the old id has the capacity of its version."""
    world.deploy("v2", percent=100, code="main:two", max_surge_percent=25)
    world.tick(100)
    world.deploy(code="main:three", in_place=True)
    service = world.tick(20)
    assert (service.state, service.primary.present) == (S.RUNNING, (100, 100))
    assert world.hosts[service.primary.host].capacity == (100, 100)


def test_a_router_that_does_not_obey_costs_no_capacity(world):
    """The primary gives nothing up before the traffic is known to be elsewhere."""
    world.deploy("v2", percent=60, code="main:two", max_surge_percent=25)
    while world.tick().canary.weight == 0:
        pass
    world.routed = False
    service = world.tick(50)
    assert (service.primary.capacity, service.canary.weight) == (100, 25)
    world.routed = True
    assert world.tick(80).canary.weight == 60
