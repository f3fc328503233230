"""Generations of a version in one Serve instance, by hand and by hypothesis: somebody always has the routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from anyservice_core.plane.engines.base import EngineState
from anyservice_core.plane.engines.ray_fleet import (
    Fleet,
    at_rest,
    configuration,
    look,
    settled,
    standing,
    want,
)
from anyservice_core.plane.engines.ray_status import AppReport

ONE = ("app",)
TWO = ("front", "back")


def apps(generation: int, names: tuple[str, ...] = ONE) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "route_prefix": "/" if name == names[0] else f"/{name}",
            "import_path": f"g{generation}:app",
        }
        for name in names
    ]


@dataclass
class Serve:
    """Serve as the fleet sees it: what is deployed, how it is, and where its proxy sends requests."""

    names: tuple[str, ...] = ONE
    fleet: Fleet = field(default_factory=Fleet)
    wanted: set[int] = field(default_factory=set)
    states: dict[tuple[str, str], str] = field(default_factory=dict)  # by name and import path
    deployed: list[dict[str, Any]] = field(default_factory=list)
    routes: dict[str, str] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    obedient: bool = True

    def deploy(self) -> None:
        self.fleet = want(self.fleet, {n: apps(n, self.names) for n in self.wanted})
        self.deployed = configuration(self.fleet)
        for app in self.deployed:
            self.states.setdefault((app["name"], app["import_path"]), "DEPLOYING")
        if self.obedient:
            self.routes = {
                a["route_prefix"]: a["name"] for a in self.deployed if a["route_prefix"] is not None
            }

    def set(self, generation: int, state: str) -> None:
        """Let every application of a generation be so, under whatever name."""
        for name, path in self.states:
            if path == f"g{generation}:app":
                self.states[name, path] = state

    def tick(self, times: int = 1) -> Fleet:
        for _ in range(times):
            self.deploy()
            reports = {
                app["name"]: AppReport(self.states[app["name"], app["import_path"]], "why", (), ("D",))
                for app in self.deployed
            }
            self.fleet, hopeless = look(self.fleet, reports, self.routes)
            self.failures.update(hopeless)
            self.deploy()
        return self.fleet

    def start(self, generation: int, state: str = "RUNNING") -> None:
        self.wanted.add(generation)
        self.tick()
        self.set(generation, state)
        self.tick(3)

    def served_by(self) -> set[str]:
        """Whose code the proxy sends requests to."""
        paths = {app["name"]: app["import_path"] for app in self.deployed}
        return {paths[name] for name in self.routes.values()}

    def shown(self) -> dict[str, str | None]:
        return {f"{app['name']} {app['import_path']}": app["route_prefix"] for app in self.deployed}


@pytest.fixture
def serve() -> Serve:
    serve = Serve()
    serve.start(1)
    return serve


def test_the_first_generation_has_its_own_names_and_routes(serve):
    """Nothing of all this shows as long as nothing is updated."""
    assert serve.shown() == {"app g1:app": "/"}
    assert standing(serve.fleet, 1) == (EngineState.RUNNING, "")
    assert at_rest(serve.fleet)


def test_it_runs_only_once_the_proxy_knows_it():
    """RUNNING applications without their route are not served yet."""
    serve = Serve(obedient=False)
    serve.start(1)
    assert standing(serve.fleet, 1) == (EngineState.STARTING, "waiting for Serve's HTTP proxy")
    serve.obedient = True
    serve.tick()
    assert standing(serve.fleet, 1)[0] is EngineState.RUNNING


def test_the_coming_generation_has_no_route_until_it_is_well(serve):
    """It comes up beside the one that serves, under a marked name; then one configuration moves the route."""
    serve.wanted.add(2)
    serve.tick(3)
    assert serve.shown() == {"app g1:app": "/", "app~ g2:app": None}
    assert [standing(serve.fleet, n)[0] for n in (1, 2)] == [EngineState.RUNNING, EngineState.STARTING]
    serve.set(2, "RUNNING")
    serve.tick()
    assert serve.shown() == {"app g1:app": None, "app~ g2:app": "/"}
    serve.tick()
    assert [standing(serve.fleet, n)[0] for n in (1, 2)] == [EngineState.RUNNING, EngineState.RUNNING]


def test_the_old_one_goes_when_it_is_wanted_no_more(serve):
    """Until then it is kept; a single application stays under its marked name, and the next takes the plain one."""
    serve.start(2)
    assert len(serve.deployed) == 2
    serve.wanted.remove(1)
    serve.tick(3)
    assert serve.shown() == {"app~ g2:app": "/"}
    serve.start(3)
    assert serve.shown() == {"app~ g2:app": None, "app g3:app": "/"}


def test_a_generation_that_fails_is_dropped_with_its_reason(serve):
    """What served goes on, and the failed one does not come back by itself."""
    serve.start(2, "DEPLOY_FAILED")
    assert serve.failures == {2: "why"}
    serve.tick(5)
    assert serve.shown() == {"app g1:app": "/"}
    serve.wanted.remove(2)
    serve.start(3)
    assert serve.served_by() == {"g3:app"}


def test_a_first_generation_that_fails_makes_room_for_the_next():
    """Code that never came up is mended beside it, in the cluster that starts."""
    serve = Serve()
    serve.start(1, "DEPLOY_FAILED")
    assert serve.failures == {1: "why"}
    serve.start(2)
    assert serve.served_by() == {"g2:app"}
    assert standing(serve.fleet, 2)[0] is EngineState.RUNNING


def test_an_illness_before_the_change_keeps_the_old_one_serving(serve):
    """UNHEALTHY is told as such, and gets no route."""
    serve.start(2, "UNHEALTHY")
    assert standing(serve.fleet, 2) == (EngineState.UNHEALTHY, "why")
    assert serve.served_by() == {"g1:app"}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("DEPLOYING", EngineState.RUNNING),
        ("UNHEALTHY", EngineState.UNHEALTHY),
        ("DEPLOY_FAILED", EngineState.UNHEALTHY),
    ],
)
def test_what_served_once(serve, status, state):
    """Deployed once more as it is it still serves; what is ill may get well again, so nothing has failed."""
    serve.set(1, status)
    serve.tick()
    assert standing(serve.fleet, 1)[0] is state
    assert serve.failures == {}


def test_taking_the_new_one_back_gives_the_routes_back(serve):
    """If the plane gives an update up just as it took over, what is still there serves again."""
    serve.start(2)
    serve.wanted.remove(2)
    serve.tick()
    assert serve.shown() == {"app g1:app": "/"}


def test_a_third_generation_before_the_first_has_gone(serve):
    """Names are scarce: who has them and does not serve gives them up."""
    serve.start(2)
    serve.start(3)
    assert serve.served_by() == {"g3:app"}
    assert serve.shown() == {"app~ g2:app": None, "app g3:app": "/"}


def test_several_applications_move_on_to_their_plain_names():
    """They may call each other by name, so at the end they have the names that were given, and nobody else's code."""
    serve = Serve(names=TWO)
    serve.start(1)
    serve.start(2)
    assert serve.served_by() == {"g2:app"}
    serve.wanted.remove(1)
    serve.tick(2)
    assert serve.shown() == {
        "front~ g2:app": "/",
        "back~ g2:app": "/back",
        "front g2:app": None,
        "back g2:app": None,
    }
    assert standing(serve.fleet, 2)[0] is EngineState.RUNNING
    serve.set(2, "RUNNING")
    serve.tick(3)
    assert serve.shown() == {"front g2:app": "/", "back g2:app": "/back"}
    assert at_rest(serve.fleet)


def test_their_replicas_under_the_plain_names_are_replaced_new_before_old():
    """A call by name must find a replica at any moment; what the user set is kept."""
    serve = Serve(names=TWO)
    serve.start(1)
    serve.start(2)
    serve.wanted.remove(1)
    serve.tick(2)
    plain = [app for app in serve.deployed if app["name"] in TWO]
    assert [app["deployments"] for app in plain] == [[{"name": "D", "max_surge_percent": 100}]] * 2


def test_several_applications_that_cannot_move_stay_where_they_serve():
    """That move may fail, too; it is not tried again, and nobody notices."""
    serve = Serve(names=TWO)
    serve.start(1)
    serve.start(2)
    serve.wanted.remove(1)
    serve.tick(2)
    for name in TWO:
        serve.states[name, "g2:app"] = "DEPLOY_FAILED"
    serve.tick(5)
    assert serve.shown() == {"front~ g2:app": "/", "back~ g2:app": "/back"}
    assert (serve.failures, standing(serve.fleet, 2)[0]) == ({}, EngineState.RUNNING)


class Updates(RuleBasedStateMachine):
    """Generations come, fall ill, fail and go in any order; the proxy is slow to obey at times."""

    @initialize(names=st.sampled_from([ONE, TWO]))
    def begin(self, names) -> None:
        self.serve = Serve(names=names)
        self.newest = 1
        self.serve.start(1)

    @rule(state=st.sampled_from(["DEPLOYING", "RUNNING", "UNHEALTHY", "DEPLOY_FAILED"]))
    def come(self, state) -> None:
        self.newest += 1
        self.serve.wanted.add(self.newest)
        self.serve.tick()
        self.serve.set(self.newest, state)

    @rule(data=st.data())
    def go(self, data) -> None:
        """Any may go but the last one that serves."""
        serving = self.serve.fleet.serving
        others = sorted(self.serve.wanted - {serving and serving[0]})
        if others:
            self.serve.wanted.remove(data.draw(st.sampled_from(others)))

    @rule(data=st.data(), state=st.sampled_from(["DEPLOYING", "RUNNING", "UNHEALTHY"]))
    def change(self, data, state) -> None:
        self.serve.set(data.draw(st.integers(1, self.newest)), state)

    @rule(obedient=st.booleans())
    def proxy(self, obedient) -> None:
        self.serve.obedient = obedient

    @rule(times=st.integers(1, 5))
    def tick(self, times) -> None:
        self.serve.tick(times)

    @invariant()
    def names_are_unique(self) -> None:
        names = [app["name"] for app in self.serve.deployed]
        assert len(names) == len(set(names))

    @invariant()
    def one_set_has_all_the_routes(self) -> None:
        routed = [app for app in self.serve.deployed if app["route_prefix"] is not None]
        assert {app["route_prefix"] for app in routed} == {"/", *(f"/{n}" for n in self.serve.names[1:])}
        assert len(routed) == len(self.serve.names)
        assert len({app["import_path"] for app in routed}) == 1

    def teardown(self) -> None:
        """When faults end, the newest that can serve does, alone, under plain names if there are several."""
        self.serve.obedient = True
        for generation in range(1, self.newest + 1):
            self.serve.set(generation, "RUNNING")
        self.serve.tick(3)
        serving = self.serve.fleet.serving
        assert serving is not None
        self.serve.wanted = {serving[0]}
        for _ in range(4):
            self.serve.tick(2)
            self.serve.set(serving[0], "RUNNING")
        assert len(self.serve.deployed) == len(self.serve.names)
        assert self.serve.served_by() == {f"g{serving[0]}:app"}
        stuck = serving[0] in self.serve.fleet.stuck
        assert self.serve.names == ONE or stuck or {a["name"] for a in self.serve.deployed} == set(TWO)


TestUpdates = Updates.TestCase
TestUpdates.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_mapping_is_what_it_says() -> None:
    """An application without a route keeps none, whoever serves."""
    hidden: Mapping[str, Any] = {"name": "job", "route_prefix": None, "import_path": "m:app"}
    fleet = want(Fleet(), {1: [hidden]})
    assert configuration(fleet)[0]["route_prefix"] is None
    fleet, _ = look(fleet, {"job": AppReport("RUNNING")}, {})
    assert standing(fleet, 1)[0] is EngineState.RUNNING


@pytest.mark.parametrize(
    ("front", "back", "whole"),
    [
        ("RUNNING", "RUNNING", True),
        ("RUNNING", "DEPLOYING", False),
        ("UNHEALTHY", "RUNNING", False),
        ("", "RUNNING", False),
    ],
)
def test_a_capacity_is_there_when_every_application_says_so(front, back, whole):
    """While Serve adds or ends replicas of any application it is DEPLOYING, and what was there before counts."""
    fleet = want(Fleet(), {1: apps(1, TWO)})
    reports = {name: AppReport(status) for name, status in (("front", front), ("back", back)) if status}
    assert settled(fleet, reports) is whole
    assert not settled(Fleet(), reports)
