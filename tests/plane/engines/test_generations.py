"""Further generations of a version in one Ray cluster, as the engine writes them down; no cluster here."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines import EngineState, RayEngine, VersionSpec
from anyservice_core.plane.engines.host import Host, OvertaxedError, _serve
from anyservice_core.plane.engines.hostdir import HostDir
from anyservice_core.plane.engines.ray_host import serves
from anyservice_core.plane.engines.sessions import Session

pytest.importorskip("ray")
ADDRESS = ("127.0.0.1", 8000)


@pytest.fixture
def engine(home: Path) -> Iterator[RayEngine]:
    engine = RayEngine(home / "state", home / "run")
    yield engine
    engine.clean("v1")  # Ray's own folder, which is not below the home


@pytest.fixture
def folder(home: Path) -> HostDir:
    folder = HostDir(home / "state/hosts/v1")
    folder.create()
    return folder


@pytest.fixture
def host(engine: RayEngine, folder: HostDir) -> Iterator[Host]:
    """What would be in a host's process, with another process for its pid: generation 1 serves."""
    leader = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    )
    folder.write("spec", engine._written(VersionSpec("v1", ())))
    session = Session.of_leader(leader.pid, "mark")
    folder.write("host", {**engine._common("v1"), "pid": leader.pid, **session.to_dict()})
    host = Host(folder)
    host._control.start()
    host.ready(ADDRESS)
    yield host
    host.close()
    assert leader.stdin
    leader.stdin.close()
    leader.wait(10)


def test_a_generation_joins_the_cluster_that_lives(engine: RayEngine, host: Host, folder: HostDir) -> None:
    """Starting it writes down what it is to run, for its owner only, and starts no process."""
    engine.start(VersionSpec("v1.2", ({"import_path": "m:app"},)))
    assert folder.generations() == [1, 2]
    assert (folder.of(2).read("spec") or {})["version"]["version_id"] == "v1.2"
    assert stat.S_IMODE((folder.path / "spec-2.json").stat().st_mode) == 0o600
    assert engine.known() == {"v1", "v1.2"}
    assert [path.name for path in folder.path.parent.iterdir()] == ["v1"]


def test_starting_it_again_changes_nothing(engine: RayEngine, host: Host, folder: HostDir) -> None:
    """A plane that was killed may ask twice."""
    engine.start(VersionSpec("v1.2", ({"import_path": "m:app"},)))
    before = folder.of(2).read("spec")
    engine.start(VersionSpec("v1.2", ({"import_path": "m:app"},)))
    assert folder.of(2).read("spec") == before


def test_each_generation_is_asked_for_by_itself(engine: RayEngine, host: Host) -> None:
    """One serves while the next starts, fails or serves; and one that nobody wants is gone."""
    assert engine.observe("v1.2").state is EngineState.GONE
    engine.start(VersionSpec("v1.2", ()))
    assert engine.observe("v1.2").state is EngineState.STARTING
    host.report(EngineState.STARTING, "installing", generation=2)
    assert engine.observe("v1.2").message == "installing"
    assert (engine.observe("v1").state, engine.observe("v1").address) == (EngineState.RUNNING, ADDRESS)
    host.ready(ADDRESS, generation=2)
    assert engine.observe("v1.2").state is EngineState.RUNNING
    engine.start(VersionSpec("v1.3", ()))
    host.fail("no module", generation=3)
    assert (engine.observe("v1.3").state, engine.observe("v1.3").message) == (EngineState.FAILED, "no module")
    assert engine.observe("v1.2").state is EngineState.RUNNING


def test_one_that_does_not_come_up_in_time_has_failed(home: Path, host: Host) -> None:
    """Its own clock starts when it was asked for, not with the cluster."""
    engine = RayEngine(home / "state", home / "run", start_deadline_s=-1.0)
    engine.start(VersionSpec("v1.2", ()))
    assert engine.observe("v1.2").state is EngineState.FAILED
    assert engine.observe("v1").state is EngineState.RUNNING


def test_stopping_one_leaves_the_others(engine: RayEngine, host: Host, folder: HostDir) -> None:
    """Its files go, variables that may be secret among them; the host sees that, and the cluster stays."""
    engine.start(VersionSpec("v1.2", ()))
    folder.of(2).write("variables-2-0", {"TOKEN": "x"})
    host.ready(ADDRESS, generation=2)
    engine.stop("v1.2")
    assert engine.observe("v1.2").state is EngineState.GONE
    assert engine.known() == {"v1"}
    assert not [path.name for path in folder.path.iterdir() if "2" in path.name]
    assert (folder.read("ready"), folder.read("stopping")) == ({"address": list(ADDRESS)}, None)


def test_the_first_may_go_and_the_second_stay(engine: RayEngine, host: Host, folder: HostDir) -> None:
    """That is what an update in place ends with."""
    engine.start(VersionSpec("v1.2", ()))
    host.ready(ADDRESS, generation=2)
    engine.stop("v1")
    assert folder.generations() == [2]
    assert engine.observe("v1").state is EngineState.GONE
    assert engine.observe("v1.2").state is EngineState.RUNNING


def test_a_folder_cleared_has_nothing_of_any_generation(folder: HostDir) -> None:
    """What is known of a host goes as a whole, its log apart."""
    for number in (1, 2, 7):
        for name in ("spec", "ready", "failed"):
            folder.of(number).write(name, {})
        folder.write(f"variables-{number}-0", {})
    folder.write("capacity", {"percent": 40})
    folder.write("host", {})
    folder.log.touch()
    folder.clear()
    assert [path.name for path in folder.path.iterdir()] == ["host.log"]


def test_a_host_may_begin_with_a_later_generation(folder: HostDir) -> None:
    """A cluster that was lost after an update comes back with the code of that update."""
    folder.of(3).write(
        "spec", {"version": VersionSpec("v1.3", ()).to_dict(), "socket": "/s", "engine": "ray"}
    )
    host = Host(folder)
    assert (host.generation, host.spec.version_id) == (3, "v1.3")
    host.fail("no module")
    assert folder.of(3).read("failed") == {"message": "no module"}
    host.close()


@pytest.mark.parametrize(
    ("raised", "failed"),
    [
        (OvertaxedError("The cluster did not start in time."), None),
        (PlaneError("no module"), {"message": "no module"}),
    ],
)
def test_a_machine_too_busy_is_no_fault_of_the_code(
    folder: HostDir, raised: Exception, failed: dict[str, str] | None
) -> None:
    """A start that took too long leaves no verdict, so it is tried again; one that cannot succeed leaves the reason."""
    folder.write("spec", {"version": VersionSpec("v1", ()).to_dict(), "socket": "/s", "engine": "ray"})
    host = Host(folder)

    def serve(host: Host) -> None:
        raise raised

    assert _serve(host, serve) == 1
    assert folder.read("failed") == failed
    host.close()


def test_an_actor_of_serve_that_dies_while_it_starts_is_nobody_s_fault() -> None:
    """The next host may do better; an error of another kind is told as it is."""
    from ray.exceptions import ActorDiedError

    with pytest.raises(OvertaxedError, match="did not start"), serves():
        raise ActorDiedError
    with pytest.raises(ValueError, match="as it is"), serves():
        raise ValueError("as it is")


def test_capacity_is_asked_for_in_writing(engine: RayEngine, host: Host, folder: HostDir) -> None:
    """The host finds the last word in its folder, whichever generation it was said of, and says what there is."""
    assert (engine.observe("v1").capacity, folder.read("capacity")) == (None, None)
    host.capacity = (100, 100)
    engine.start(VersionSpec("v1.2", ()))
    engine.scale("v1", 40)
    engine.scale("v1.2", 70)
    assert folder.read("capacity") == {"percent": 70}
    assert engine.observe("v1").capacity == (70, 100)  # the host has not read it yet, and may at any moment
    host.capacity = (70, 70)
    assert engine.observe("v1").capacity == (70, 70)


def test_what_is_asked_for_twice_is_written_once(engine: RayEngine, host: Host, folder: HostDir) -> None:
    """A plane that waits for a capacity asks again at every tick."""
    engine.scale("v1", 40)
    (folder.path / "capacity.json").chmod(0o400)  # a file that is written anew has 0600
    engine.scale("v1", 40)
    assert stat.S_IMODE((folder.path / "capacity.json").stat().st_mode) == 0o400


def test_what_does_not_run_has_no_capacity(engine: RayEngine, home: Path) -> None:
    """There is nothing to scale, and no file that a later host would take for its own."""
    engine.scale("v1", 40)
    assert not (home / "state/hosts/v1").exists()
