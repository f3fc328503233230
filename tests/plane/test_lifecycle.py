"""Anyone asks for anything at any moment, anything fails at any moment: what the plane promises holds all the same."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.plane.capacity import LEAST, room
from anyservice_core.plane.state import Service, Version
from tests.plane.api import body, served
from tests.plane.universe import Universe

LONG = int(os.environ.get("LIFECYCLE_EXAMPLES", "0"))
NAMES = ("one", "two")
some_percent = st.one_of(st.none(), st.integers(0, 100))
seldom = st.sampled_from((False, False, True))
surges = st.sampled_from((None, None, 100, 0, 10, 25, 60))
quality = st.sampled_from(("good", "good", "broken", "slow"))


class Lifecycle(RuleBasedStateMachine):
    """Two services on one plane, and everything that can be asked of them and happen to them."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.universe = Universe(Path(self.folder.name))
        self.number = 0
        self.ever_ill: set[str] = set()
        self.rooms: dict[
            str, int
        ] = {}  # by canary: the most that any surge has let it take beside the primary
        self.universe.watch = self.capacity_keeps_to_the_surge
        self.ask("PUT", "/apply", body(name="one", ray_serve_config=served(self.code("good"))))
        self.universe.settle(15)

    # ── what is asked ──

    def ask(self, method: str, path: str, content=None) -> None:
        """Ask, and compare what is promised with what is on the disk by then."""
        before = self.universe.kept()
        reply = self.universe.ask(method, path, content)
        if reply is None:
            return
        after = self.universe.kept()
        if reply.status >= 400:
            assert reply.status in {404, 409, 422}, reply
            assert after == before, "what was refused changed something"
        elif isinstance(reply.body, dict):
            promised = reply.body["result"]
            found = after[promised["id"]]
            assert promised["current_state"] == found.state
            assert promised["goal_state"] == found.goal_state
            assert promised["primary_version"]["id"] == found.primary.id
            assert (promised["canary_version"] or {}).get("id") == (found.canary.id if found.canary else None)
        else:
            self.done(method, path, after)

    def done(self, method: str, path: str, after: dict[str, Service]) -> None:
        service_id = path.split("/")[1]
        assert after[service_id].archived if method == "POST" else service_id not in after

    def code(self, kind: str) -> str:
        self.number += 1
        code = f"main:v{self.number}"
        getattr(self.universe.hosts, kind, set()).add(code)
        return code

    @rule(name=st.sampled_from(NAMES), percent=some_percent, kind=quality, named=st.booleans(), surge=surges)
    def deploy(self, name, percent, kind, named, surge) -> None:
        code = self.code(kind)
        version = {"version": code.partition(":")[2]} if named else {}
        how = {"canary_percent": percent, "max_surge_percent": surge}
        asked = body(name=name, ray_serve_config=served(code), **how, **version)
        self.ask("PUT", "/apply", asked)

    def canaries(self) -> list[Service]:
        return [service for service in self.services() if service.state is S.ROLLING_OUT and service.canary]

    @precondition(lambda self: self.canaries())
    @rule(data=st.data(), percent=some_percent, surge=surges)
    def deploy_again(self, data, percent, surge) -> None:
        """The canary's own configuration once more: its weight moves."""
        service = data.draw(st.sampled_from(self.canaries()))
        config = service.canary.wanted["ray_serve_config"]
        asked = {"ray_serve_config": config, "version": service.canary.name, "canary_percent": percent}
        self.ask("PUT", "/apply", body(name=service.name, max_surge_percent=surge, **asked))

    @rule(name=st.sampled_from(NAMES), kind=quality)
    def update_in_place(self, name, kind) -> None:
        asked = body(name=name, ray_serve_config=served(self.code(kind)), rollout_strategy="IN_PLACE")
        self.ask("PUT", "/apply", asked)

    @precondition(lambda self: self.canaries())
    @rule(data=st.data(), percent=st.integers(0, 100))
    def weigh(self, data, percent) -> None:
        service = data.draw(st.sampled_from(self.canaries()))
        weights = [{"id": service.canary.id, "traffic_percent": percent}]
        self.ask("PUT", f"/{service.id}/update_weights", {"versions": weights})

    @precondition(lambda self: self.canaries())
    @rule(data=st.data(), surge=surges)
    def roll_back(self, data, surge) -> None:
        path = f"/{data.draw(st.sampled_from(self.canaries())).id}/rollback"
        self.ask("POST", path, {"max_surge_percent": surge})

    @precondition(lambda self: self.services())
    @rule(data=st.data(), verb=st.sampled_from(("rollback", "restart", "archive", "update_weights")))
    def ask_for_what_may_be_refused(self, data, verb) -> None:
        service = data.draw(st.sampled_from(self.services()))
        weights = [{"id": version.id, "traffic_percent": 50} for version in service.versions[:2]]
        method = "PUT" if verb == "update_weights" else "POST"
        self.ask(method, f"/{service.id}/{verb}", {"versions": weights} if method == "PUT" else {})

    @rule(name=st.sampled_from(NAMES))
    def terminate(self, name) -> None:
        if service := self.universe.find(name):
            self.ask("POST", f"/{service.id}/terminate", {})

    @precondition(lambda self: any(one.state is S.TERMINATED for one in self.services()))
    @rule(data=st.data())
    def delete(self, data) -> None:
        self.ask("DELETE", f"/{data.draw(st.sampled_from(self.services())).id}")

    # ── what happens ──

    @rule(times=st.integers(1, 40))
    def wait(self, times) -> None:
        self.universe.tick(times)

    @rule(seconds=st.integers(30, 200))
    def time_flies(self, seconds) -> None:
        self.universe.tick(seconds=seconds)

    @rule(data=st.data())
    def a_host_dies(self, data) -> None:
        if running := self.universe.hosts.running():
            self.universe.hosts.die(data.draw(st.sampled_from(running)))

    @rule(data=st.data())
    def a_host_is_ill(self, data) -> None:
        if running := self.universe.hosts.running():
            host = data.draw(st.sampled_from(running))
            self.universe.hosts.ill.add(host)
            self.ever_ill.add(host)

    @rule()
    def the_ill_heal(self) -> None:
        self.universe.hosts.ill.clear()

    @rule(refuses=seldom)
    def the_router_refuses(self, refuses) -> None:
        self.universe.proxy.refuses = refuses

    @rule(data=st.data())
    def requests_take_long(self, data) -> None:
        if seats := list(self.universe.proxy.seats):
            self.universe.proxy.busy ^= {data.draw(st.sampled_from(seats))}

    @rule(full=seldom)
    def the_disk_is_full(self, full) -> None:
        self.universe.fill_the_disk(full=full)

    @rule(effects=st.integers(1, 12))
    def the_plane_dies_soon(self, effects) -> None:
        self.universe.fuse.left = effects

    @rule()
    def the_plane_is_killed(self) -> None:
        self.universe.kill()

    # ── what always holds ──

    def services(self) -> list[Service]:
        return self.universe.store.services() if hasattr(self, "universe") else []

    @invariant()
    def weights_add_up(self) -> None:
        for service in self.services():
            if service.goal_state is S.RUNNING:
                assert service.primary.weight + (service.canary.weight if service.canary else 0) == 100
            assert not any(version.weight for version in service.retiring)

    @invariant()
    def one_primary_and_one_canary_at_most(self) -> None:
        for service in self.services():
            ids = [version.id for version in service.versions]
            slots = [slot for slot, _ in service.seats()]
            assert len(ids) == len(set(ids))
            assert len(slots) == len(set(slots))
            assert (service.canary is not None) or service.rollout is None
            assert all(version.state in {V.TERMINATING, V.TERMINATED} for version in service.retiring)
            if service.state in {S.STARTING, S.RUNNING, S.UNHEALTHY, S.UPDATING, S.SYSTEM_FAILURE}:
                assert service.canary is None

    @invariant()
    def capacity_keeps_to_the_surge(self) -> None:
        for service in self.services():
            canary, rollout = service.canary, service.rollout
            if canary is None or rollout is None:
                if service.goal_state is S.RUNNING:
                    assert service.primary.capacity == 100
                continue
            free = room(rollout.surge)
            most = max(self.rooms.get(canary.id, 0), 100 if free is None else free)
            self.rooms[canary.id] = most
            assert service.primary.capacity >= service.primary.weight
            assert canary.capacity >= canary.weight
            assert service.primary.capacity + canary.capacity <= 100 + most
            taken = self.universe.hosts.taken
            assert taken(service.primary.host) + taken(canary.host) <= 100 + most

    @invariant()
    def names_are_unique(self) -> None:
        names = [service.name for service in self.services() if not service.archived]
        assert len(names) == len(set(names))

    @invariant()
    def what_is_known_is_what_is_kept(self) -> None:
        if hasattr(self, "universe"):
            assert self.universe.kept() == {service.id: service for service in self.services()}

    # ── what is reached when nothing fails any more ──

    @precondition(lambda self: self.services())
    @rule()
    def faults_stop(self) -> None:
        self.universe.settle()
        for service in self.services():
            self.at_its_goal(service)
        owned = {
            host for service in self.services() for version in service.versions for host in version.hosts
        }
        assert set(self.universe.hosts.running()) <= owned

    def at_its_goal(self, service: Service) -> None:
        seats = {
            seat: s for seat, s in self.universe.proxy.seats.items() if seat.startswith(f"{service.id}/")
        }
        if service.goal_state is S.TERMINATED:
            assert service.state is S.TERMINATED
            assert (service.retiring, seats) == ((), {})
            return
        assert service.retiring == ()
        assert service.state in {S.RUNNING, S.ROLLING_OUT, S.UNHEALTHY, S.SYSTEM_FAILURE}, service.state
        self.serves_or_says_why(service, service.primary)
        if service.state is S.ROLLING_OUT:
            assert service.rollout.percent < 100
            assert not service.rollout.automatic
            assert service.canary.weight == service.rollout.percent
            assert service.canary.state is V.RUNNING
            self.has_its_share(service, service.rollout.percent)
        if service.state is S.RUNNING:
            assert service.primary.state is V.RUNNING
            assert self.universe.hosts.capacity(service.primary.host) == (100, 100)
        for version in service.versions:
            if version.address:
                seat = seats[f"{service.id}/{version.slot}"]
                assert (seat.address, seat.weight, seat.ready) == (version.address, version.weight, True)

    def has_its_share(self, service: Service, percent: int) -> None:
        paced = room(service.rollout.surge) is not None
        for version, share in ((service.primary, 100 - percent), (service.canary, percent)):
            wanted = max(LEAST, share) if paced else 100
            assert version.capacity == wanted
            if version.state is V.RUNNING:
                assert self.universe.hosts.capacity(version.host) == (wanted, wanted)

    def serves_or_says_why(self, service: Service, version: Version) -> None:
        hosts = self.universe.hosts
        if version.state is V.RUNNING:
            assert hosts.serves(version.host)
            assert hosts.code[version.host] == served_by(version.spec)
            return
        assert version.message
        last = version.update or version
        host = version.host_of(version.update.generation) if version.update else version.host
        excuse = served_by(last.spec) in hosts.broken or hosts.deaths[host] >= 3 or host in self.ever_ill
        assert excuse, f"{version.name} is {version.state} for no reason: {version.message}"

    def teardown(self) -> None:
        if not hasattr(self, "universe"):
            return
        try:
            self.faults_stop()
            for service in self.services():
                if not service.archived:
                    self.comes_up_again(service.name)
            self.everything_ends()
        finally:
            self.universe.store.close()
            self.folder.cleanup()

    def comes_up_again(self, name: str) -> None:
        """Whatever happened before, code that works is served in the end."""
        code = self.code("good")
        self.ask("PUT", "/apply", body(name=name, ray_serve_config=served(code)))
        self.universe.settle(200)
        service = self.universe.find(name)
        assert (service.state, service.canary, served_by(service.primary.spec)) == (S.RUNNING, None, code)
        assert service.error_message is None

    def everything_ends(self) -> None:
        for service in self.services():
            self.ask("POST", f"/{service.id}/terminate", {})
        self.universe.settle(60)
        for service in self.services():
            self.ask("DELETE", f"/{service.id}")
        self.universe.tick(2)
        assert (self.universe.kept(), self.universe.hosts.running()) == ({}, [])
        assert not any(seat.pull for seat in self.universe.proxy.seats.values())


def served_by(spec) -> str:
    return spec["ray_serve_config"]["applications"][0]["import_path"]


TestLifecycle = pytest.mark.timeout(7200 if LONG else 180)(Lifecycle.TestCase)
TestLifecycle.settings = settings(
    max_examples=LONG or 20,
    stateful_step_count=40 if LONG else 25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
