"""Which files are meant by a service, a version or an application, and how they are read."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.changes import Birth, deploy
from anyservice_core.plane.logs import logs_of, requests_log, versions
from anyservice_core.plane.store import Store
from tests.plane.world import apply

TWO_APPS = {
    "applications": [{"name": "front", "import_path": "a:app"}, {"name": "back", "import_path": "b:app"}]
}


@pytest.fixture
def state(tmp_path):
    """A plane with two services, the first one in the middle of a rollout."""
    with closing(Store(tmp_path / "plane.db")) as store:
        one = deploy(None, apply("v1", serve=TWO_APPS), birth())
        one = deploy(one.replace(state="RUNNING"), apply("v2", serve=TWO_APPS, percent=10), birth())
        store.save(one)
        store.save(deploy(None, apply("v1"), birth()).replace(name="other"))
    return tmp_path


def birth() -> Birth:
    return Birth(1000.0, "ray", "cld", "prj", lambda: 8700)


def written(state, host: str, name: str, text: str, at: float = 1.0):
    path = state / "hosts" / host / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def test_versions_are_found_by_service_and_name(state):
    """A name that two services have means both; an id, or the service beside it, means one."""
    assert [v.name for v in versions(state, service="svc")] == ["v1", "v2"]
    assert len(versions(state, version="v1")) == 2
    (one,) = versions(state, service="other", version="v1")
    assert versions(state, version=one.id) == [one]


def test_what_is_not_there_is_told_beside_what_is(state):
    """A service, a version and an application each by name."""
    with pytest.raises(PlaneError, match=r"no service 'svd'; there is svc, other"):
        versions(state, service="svd")
    with pytest.raises(PlaneError, match=r"no version 'v9'; there is v1, v2"):
        versions(state, version="v9")
    with pytest.raises(PlaneError, match=r"no application 'side', but front, back"):
        logs_of(state, versions(state, version="v2")[0], application="side")


def test_looking_for_logs_makes_no_plane(tmp_path):
    """Where none was, there is none afterwards."""
    with pytest.raises(PlaneError, match="there is none"):
        versions(tmp_path, version="v1")
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_is_forgotten_has_its_log_still(state):
    """By its id, since nobody knows its name any more."""
    written(state, "srv_gone", "host.log", "last words\n")
    (version,) = versions(state, version="srv_gone")
    assert [log.path.read_text() for log in logs_of(state, version)] == ["last words\n"]


def test_each_host_that_a_version_had_is_read_the_newest_last(state):
    """One for each update in place."""
    (version,) = versions(state, version="v2")
    written(state, f"{version.id}.2", "host.log", "second\n", at=2.0)
    written(state, version.id, "host.log", "first\n", at=1.0)
    assert [log.path.read_text() for log in logs_of(state, version)] == ["first\n", "second\n"]


def test_an_application_on_ray_has_logs_of_its_own(state):
    """What Serve writes of its replicas, and what their workers print."""
    (version,) = versions(state, version="v2")
    written(state, version.id, "host.log", "host\n")
    written(state, version.id, "ray-logs/serve/replica_front_My_App_ab12.log", "front\n")
    written(state, version.id, "ray-logs/serve/replica_back_App_cd34.log", "back\n")
    written(
        state,
        version.id,
        "ray-logs/worker-1-2-3.out",
        ":job_id:01\n:actor_name:ServeReplica:front:My_App\nhi\n",
    )
    written(state, version.id, "ray-logs/worker-4-5-6.out", ":actor_name:SERVE_CONTROLLER_ACTOR\n")
    found = logs_of(state, version, application="front")
    assert [log.path.name for log in found] == ["replica_front_My_App_ab12.log", "worker-1-2-3.out"]
    assert {log.label.split()[1].partition("/")[0] for log in found} == {"front"}
    assert len(logs_of(state, version)) == 4


def test_on_the_light_engine_applications_share_a_log(state):
    """There is one process, so its log is what there is of each."""
    (version,) = versions(state, version="v2")
    written(state, version.id, "host.log", "all\n")
    assert [log.path.name for log in logs_of(state, version, application="back")] == ["host.log"]


def test_requests_are_those_to_a_service(state):
    """One log holds the requests to all services; a name means the lines with its id."""
    assert requests_log(state).only == ()
    log = requests_log(state, service="other")
    assert (log.path, len(log.only)) == (state / "router" / "access.log", 1)
    with pytest.raises(PlaneError, match="no service 'nobody'"):
        requests_log(state, service="nobody")
