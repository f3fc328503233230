"""Updates in place, by hand: the new code serves before the old one ends, or the old one goes on serving."""

from __future__ import annotations

import os

import pytest

from anyservice_core.errors import AnyserviceError, ConflictError, NotFoundError, RejectedError
from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.plane.changes import roll_back, terminate
from anyservice_core.plane.engines.base import EngineState, Observed, host_id, split_host_id
from anyservice_core.plane.logs import logs_of, versions
from anyservice_core.plane.runs import cannot_start
from tests.plane.world import World


@pytest.fixture
def world() -> World:
    """A service whose v1 serves."""
    world = World()
    world.deploy("v1")
    world.tick(5)
    return world


def code(world: World) -> str:
    """What the version runs."""
    return world.primary.spec["ray_serve_config"]["applications"][0]["import_path"]


def test_the_new_host_serves_before_the_old_one_ends(world):
    """While the new code starts the old address stays; then the seat moves, and only after that the old host ends."""
    old, address = world.primary, world.primary.address
    world.slow.add("main:two")
    assert world.deploy(code="main:two", in_place=True).state is S.UPDATING
    service = world.tick(4)
    new = world.primary.host_of(2)
    assert (service.state, service.primary.state) == (S.UPDATING, V.UPDATING)
    assert (service.primary.address, service.primary.weight) == (address, 100)
    assert world.running() == {old.host, new}
    world.come_up(new)
    service = world.tick()
    assert (service.state, service.primary.state) == (S.RUNNING, V.RUNNING)
    assert service.primary.address == world.hosts[new].address
    assert old.host in world.running()
    service = world.tick(4)
    assert world.running() == {new}
    assert (service.primary.id, service.primary.name, service.primary.slot) == (old.id, old.name, old.slot)
    assert (code(world), service.primary.leaving) == ("main:two", ())


def test_the_old_host_finishes_what_it_has(world):
    """A request under way keeps the old host for ``drain_s`` at most, and no longer than it takes."""
    old = world.primary.host
    world.deploy(code="main:two", in_place=True)
    world.hosts[old] = Observed(EngineState.RUNNING, world.primary.address, under_way=1)
    world.tick(10)
    assert old in world.running()
    world.hosts[old] = Observed(EngineState.RUNNING, ("127.0.0.1", 1), under_way=0)
    world.tick(2)
    assert old not in world.running()
    third = world.primary.host
    world.deploy(code="main:three", in_place=True)
    world.hosts[third] = Observed(EngineState.RUNNING, world.primary.address, under_way=1)
    world.tick(40)
    assert third not in world.running()


def test_the_old_host_stays_while_the_router_does_not_obey(world):
    """Requests may still go to the old address, so nothing ends before the router's word."""
    old = world.primary.host
    world.deploy(code="main:two", in_place=True)
    world.tick()
    world.routed = False
    world.tick(100)
    assert old in world.running()
    world.routed = True
    world.tick(4)
    assert old not in world.running()


def test_code_that_does_not_come_up_leaves_the_old_one_serving(world):
    """The service is UNHEALTHY, since it runs not what was asked for, says why, and serves as before."""
    before = world.primary
    world.broken.add("main:bad")
    world.deploy(code="main:bad", in_place=True)
    service = world.tick(10)
    assert (service.state, service.primary.state) == (S.UNHEALTHY, V.UNHEALTHY)
    for text in (service.error_message, service.primary.message):
        assert text == (
            "The update in place failed: no module named 'main'. What ran before it goes on serving."
        )
    assert (service.primary.address, service.primary.weight, code(world)) == (before.address, 100, "main:app")
    assert world.running() == {before.host}
    assert service.primary.wanted["ray_serve_config"]["applications"][0]["import_path"] == "main:bad"


def test_a_better_update_heals_what_a_bad_one_left(world):
    """After a failed update another one takes over, with a number of its own, and the message is gone."""
    world.broken.add("main:bad")
    world.deploy(code="main:bad", in_place=True)
    world.tick(10)
    world.deploy(code="main:good", in_place=True)
    service = world.tick(5)
    assert (service.state, service.error_message, service.primary.message) == (S.RUNNING, None, "")
    assert (service.primary.generation, code(world)) == (3, "main:good")
    assert world.running() == {world.primary.host}


def test_asking_for_the_code_that_runs_gives_a_failed_update_up(world):
    """The way back needs no new host: what was asked for is what runs."""
    world.broken.add("main:bad")
    world.deploy(code="main:bad", in_place=True)
    world.tick(10)
    world.deploy(code="main:app", in_place=True)
    service = world.tick(2)
    assert (service.state, service.primary.state, service.primary.generation) == (S.RUNNING, V.RUNNING, 1)
    assert service.error_message is None
    assert len(world.started) == 2


def test_an_update_to_what_runs_starts_nothing(world):
    """Nothing differs, so nothing moves; the service is RUNNING again a step later."""
    world.deploy(code="main:app", in_place=True)
    assert world.tick(2).state is S.RUNNING
    assert len(world.started) == 1


def test_asking_twice_starts_once(world):
    """A request that is repeated because its answer was lost finds its update under way."""
    world.slow.add("main:two")
    for _ in range(3):
        world.deploy(code="main:two", in_place=True)
        world.tick(2)
    assert world.started == [world.primary.host, world.primary.host_of(2)]


def test_a_newer_update_takes_the_place_of_one_under_way(world):
    """What is wanted no more ends, and only the newest code gets the seat."""
    world.slow.add("main:two")
    world.deploy(code="main:two", in_place=True)
    world.tick(3)
    world.deploy(code="main:three", in_place=True)
    service = world.tick(6)
    assert (service.state, code(world), service.primary.generation) == (S.RUNNING, "main:three", 3)
    assert world.running() == {world.primary.host}


def test_an_update_that_is_never_well_is_given_up(world):
    """A host that runs but fails its checks does not get the seat; after ``sick_s`` it ends with the reason."""
    world.slow.add("main:two")
    world.deploy(code="main:two", in_place=True)
    world.tick()
    new = world.primary.host_of(2)
    world.hosts[new] = Observed(EngineState.UNHEALTHY, None, "no model")
    service = world.tick(50)
    assert (service.state, service.primary.message) == (S.UPDATING, "updating in place: no model")
    service = world.tick(20)
    assert service.state is S.UNHEALTHY
    assert "not well for 30 s: no model" in service.error_message
    assert new not in world.running()


def test_an_update_may_be_ill_for_a_moment(world):
    """Getting well in time counts from anew, and takes over."""
    world.slow.add("main:two")
    world.deploy(code="main:two", in_place=True)
    world.tick()
    new = world.primary.host_of(2)
    for _ in range(3):
        world.hosts[new] = Observed(EngineState.UNHEALTHY, None, "replica restarts")
        world.tick(40)
        world.hosts[new] = Observed(EngineState.STARTING, None, "starting")
        world.tick()
    world.come_up(new)
    assert world.tick(2).state is S.RUNNING


def test_an_update_whose_host_keeps_ending_is_given_up(world):
    """Three starts in vain are enough, each put off for longer."""
    world.slow.add("main:two")
    world.deploy(code="main:two", in_place=True)
    for _ in range(60):
        world.lose(world.primary.host_of(2))
        world.tick()
    assert world.started.count(world.primary.host_of(2)) == 3
    assert "ended 3 times" in world.service.error_message


def test_a_host_that_is_lost_during_an_update_comes_back_first(world):
    """Somebody must serve: the old code is started again, and the update goes on."""
    world.slow.add("main:two")
    world.deploy(code="main:two", in_place=True)
    world.tick(2)
    old, new = world.primary.host, world.primary.host_of(2)
    world.lose(old)
    world.lose(new)
    assert world.tick().primary.address is None
    world.tick(8)
    assert world.started[-2:] == [old, new]
    assert world.primary.address == world.hosts[old].address
    world.come_up(new)
    assert world.tick(2).state is S.RUNNING


def test_after_an_update_it_is_the_new_code_that_is_started_again(world):
    """A host that dies later comes back as what was deployed last."""
    world.deploy(code="main:two", in_place=True)
    world.tick(5)
    world.lose(world.primary.host)
    service = world.tick(6)
    assert (service.state, world.started[-1]) == (S.RUNNING, world.primary.host_of(2))


def test_after_a_failed_update_the_old_code_comes_back_and_says_so(world):
    """A restart of the host changes nothing about what was asked for and is not there."""
    world.broken.add("main:bad")
    world.deploy(code="main:bad", in_place=True)
    world.tick(10)
    world.lose(world.primary.host)
    service = world.tick(10)
    assert (service.state, code(world)) == (S.UNHEALTHY, "main:app")
    assert world.running() == {world.primary.host}
    assert "The update in place failed" in service.primary.message


def test_a_version_that_never_came_up_is_mended_in_place():
    """There is nobody to spare: the new code is started, and the service runs."""
    world = World(broken={"main:app"})
    world.deploy("v1")
    assert world.tick(5).state is S.UNHEALTHY
    assert world.deploy(code="main:two", in_place=True).state is S.UPDATING
    service = world.tick(5)
    assert (service.state, service.primary.failed, service.error_message) == (S.RUNNING, False, None)
    assert world.running() == {world.primary.host_of(2)}


def test_a_version_that_never_came_up_may_be_mended_badly():
    """Then nothing serves, and the message does not say that anything does."""
    world = World(broken={"main:app", "main:bad"})
    world.deploy("v1")
    world.tick(5)
    world.deploy(code="main:bad", in_place=True)
    service = world.tick(10)
    assert service.state is S.UNHEALTHY
    assert service.error_message == "The update in place failed: no module named 'main'."


def test_a_service_that_starts_may_be_updated():
    """Code found wrong a moment after the deploy is replaced without waiting for it."""
    world = World(slow={"main:app"})
    world.deploy("v1")
    world.tick(2)
    world.deploy(code="main:two", in_place=True)
    service = world.tick(6)
    assert (service.state, code(world)) == (S.RUNNING, "main:two")
    assert world.running() == {world.primary.host}


def test_a_host_that_cannot_begin_says_why(world):
    """What the engine refuses at once is a failed update, and touches the serving host as little."""
    world.deploy(code="main:two", in_place=True)
    service = cannot_start(world.service, world.primary.host_of(2), "uvicorn is not installed.")
    assert (service.primary.failed, service.primary.update.failed) == (False, True)
    assert service.primary.message == (
        "The update in place failed: uvicorn is not installed. What ran before it goes on serving."
    )


def test_a_new_version_may_be_deployed_during_an_update(world):
    """A rollout does not wait for an update that hangs; when the new version is primary, every host of the old ends."""
    world.slow.add("main:two")
    world.deploy(code="main:two", in_place=True)
    world.tick(3)
    assert len(world.running()) == 2
    world.deploy("v2", percent=100, code="main:three")
    service = world.tick(20)
    assert (service.state, service.primary.name, service.retiring) == (S.RUNNING, "v2", ())
    assert world.running() == {world.primary.host}


def test_a_rollback_during_an_update_goes_back_to_updating(world):
    """The primary is as it was: still on its way to its new code."""
    world.slow.add("main:two")
    world.deploy(code="main:two", in_place=True)
    world.deploy("v2", percent=10, code="main:three")
    world.tick(5)
    world.service = roll_back(world.service, world.now)
    assert world.tick(10).state is S.UPDATING
    world.come_up(world.primary.host_of(2))
    assert world.tick(3).state is S.RUNNING


def test_termination_ends_every_host(world):
    """A version that is updated has two hosts, and neither outlives it."""
    world.slow.add("main:two")
    world.deploy(code="main:two", in_place=True)
    world.tick(3)
    world.service = terminate(world.service, world.now)
    service = world.tick(10)
    assert (service.state, world.running()) == (S.TERMINATED, set())


def test_the_version_keeps_its_id_and_takes_a_name_if_given(world):
    """A name in the request is the version's from now on; without one it keeps its own."""
    id = world.primary.id
    world.deploy("v1.1", code="main:two", in_place=True)
    world.tick(5)
    assert (world.primary.id, world.primary.name) == (id, "v1.1")
    world.deploy(code="main:three", in_place=True)
    world.tick(5)
    assert world.primary.name == "v1.1"


def test_the_name_means_the_new_configuration(world):
    """A deploy of what the update brought finds its version, and of what was there before is a conflict."""
    world.deploy("v1", code="main:two", in_place=True)
    before = world.tick(5)
    assert world.deploy("v1", code="main:two") == before
    with pytest.raises(ConflictError, match="another configuration"):
        world.deploy("v1", code="main:app")


def test_image_compute_storage_and_tracing_stay(world):
    """They belong to the cluster, which stays; what the request says of them is left aside."""
    before = world.primary.spec
    world.deploy(
        code="main:two",
        in_place=True,
        build_id="bld_other",
        compute_config_id="cpt_other",
        tracing_config={"enabled": True},
    )
    world.tick(5)
    after = world.primary.spec
    assert {k: after.get(k) for k in ("build_id", "compute_config_id", "tracing_config")} == {
        k: before.get(k) for k in ("build_id", "compute_config_id", "tracing_config")
    }


@pytest.mark.parametrize(
    ("given", "error", "status", "says"),
    [
        ({"percent": 10}, RejectedError, 422, "canary_percent"),
        ({"max_surge_percent": 50}, RejectedError, 422, "max_surge_percent"),
        ({"serve": {"http_options": {"request_timeout_s": 5}}}, RejectedError, 422, "http_options"),
        ({"serve": {"grpc_options": {"service_names": ["a"]}}}, RejectedError, 422, "grpc_options"),
    ],
)
def test_what_cannot_be_updated_in_place_is_refused(world, given, error, status, says):
    """A percentage, or options of the proxy that stays, are named, and nothing changes."""
    before = world.service
    with pytest.raises(error, match=says) as caught:
        world.deploy(code="main:two", in_place=True, **given)
    assert (caught.value.status, world.service) == (status, before)


@pytest.mark.parametrize(("applications", "refused"), [(1, False), (2, True)])
def test_several_applications_that_answer_grpc_stay_as_they_are(applications, refused):
    """A call names its application, and in an update those have other names for a while; of one there is no doubt."""
    apps = [
        {"name": f"app{n}", "route_prefix": f"/{n}", "import_path": "main:app"} for n in range(applications)
    ]
    serve = {"applications": apps, "grpc_options": {"grpc_servicer_functions": ["m:f"]}}
    world = World()
    world.deploy("v1", serve=serve)
    world.tick(5)
    asked = {**serve, "applications": [{**app, "import_path": "main:two"} for app in apps]}
    if not refused:
        assert world.deploy("v1", in_place=True, serve=asked).primary.update
        return
    with pytest.raises(RejectedError, match="gRPC"):
        world.deploy("v1", in_place=True, serve=asked)


def test_nothing_to_update(world):
    """No service is a 404; one that rolls out, goes back, ends or has ended is a conflict that names its state."""
    with pytest.raises(NotFoundError) as missing:
        World().deploy(in_place=True)
    assert missing.value.status == 404

    def refusal() -> AnyserviceError:
        with pytest.raises(ConflictError, match="update in place") as caught:
            world.deploy(code="main:two", in_place=True)
        assert caught.value.status == 409
        return caught.value

    world.deploy("v2", percent=10, code="main:three")
    world.tick(5)
    assert "ROLLING_OUT" in str(refusal())
    world.service = roll_back(world.service, world.now)
    assert "ROLLING_BACK" in str(refusal())
    world.tick(10)
    world.service = terminate(world.service, world.now)
    assert "TERMINATING" in str(refusal())
    world.tick(10)
    assert "TERMINATED" in str(refusal())


def test_the_log_of_a_version_is_that_of_each_host_it_had(tmp_path):
    """A version that was updated in place on its own processes has a log in the folder of each; the newest is last."""
    for age, name in enumerate(("srv_a.2", "srv_a", "srv_ab")):
        log = tmp_path / "hosts" / name / "host.log"
        log.parent.mkdir(parents=True)
        log.touch()
        os.utime(log, (1000 - age, 1000 - age))
    for version_id, hosts in {"srv_a": ["srv_a", "srv_a.2"], "srv_ab": ["srv_ab"]}.items():
        (version,) = versions(tmp_path, version=version_id)
        assert [log.path.parent.name for log in logs_of(tmp_path, version)] == hosts


@pytest.mark.parametrize(("version_id", "generation"), [("srv_abc", 1), ("srv_abc", 2), ("srv_abc", 41)])
def test_a_hosts_id_is_made_of_two_and_gives_them_back(version_id, generation):
    """The first generation bears the version's own id; an id without a number is one of a first generation."""
    assert split_host_id(host_id(version_id, generation)) == (version_id, generation)
    assert host_id("srv_abc", 1) == "srv_abc"
