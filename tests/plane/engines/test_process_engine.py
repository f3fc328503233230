from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines import EngineState, Observed, ProcessEngine, VersionSpec, procfs
from anyservice_core.plane.engines.sessions import Session

pytestmark = pytest.mark.real

Begin = Callable[..., None]
Settle = Callable[..., Observed]
Application = Callable[..., dict[str, Any]]


def get(observed: Observed, path: str = "/") -> str:
    assert observed.address is not None, observed
    host, port = observed.address
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=20) as reply:
        return str(reply.read(), "utf-8")


def session_of(home: Path, version_id: str) -> Session:
    return Session.from_dict(json.loads((home / "state/hosts" / version_id / "host.json").read_text()))


def test_an_asgi_app_serves(process_engine: ProcessEngine, begin: Begin, settle: Settle, code: Path) -> None:
    """A plain ASGI app answers, in its working_dir, with its variables."""
    begin(process_engine, "v1", "plain:app", env={"WHO": "me"})
    observed = settle(process_engine, "v1")
    assert observed.state is EngineState.RUNNING
    assert get(observed) == f"me {code} "


def test_two_versions_at_once(process_engine: ProcessEngine, begin: Begin, settle: Settle) -> None:
    """A canary beside its primary: each with its own process, port and variables."""
    begin(process_engine, "v1", "plain:app", env={"WHO": "one"})
    begin(process_engine, "v2", "plain:app", env={"WHO": "two"})
    answers = [get(settle(process_engine, version)).split()[0] for version in ("v1", "v2")]
    assert answers == ["one", "two"]
    assert process_engine.known() == {"v1", "v2"}


def test_starting_twice_starts_once(
    process_engine: ProcessEngine, begin: Begin, settle: Settle, home: Path
) -> None:
    """Start is idempotent by version: the host that lives stays."""
    begin(process_engine, "v1", "plain:app")
    before = session_of(home, "v1")
    settle(process_engine, "v1")
    begin(process_engine, "v1", "plain:app")
    assert session_of(home, "v1") == before


def test_a_serve_app_serves_without_a_cluster(
    process_engine: ProcessEngine, begin: Begin, settle: Settle
) -> None:
    """A Ray Serve application runs in one process; two sync calls at once do not block each other."""
    begin(process_engine, "v1", "served:app")
    observed = settle(process_engine, "v1")
    assert json.loads(get(observed))["hello"] == "world"
    with ThreadPoolExecutor(2) as pool:  # the app's barrier opens only for two at the same time
        answers = list(pool.map(lambda _: json.loads(get(observed, "/?meet=1")), range(2)))
    assert [answer["hello"] for answer in answers] == ["world", "world"]


def test_applications_share_a_process_by_prefix(
    process_engine: ProcessEngine, application: Application, settle: Settle
) -> None:
    """FastAPI ingress with composed deployments, a builder with args, and an ASGI app behind one port."""
    apps = (
        application("fast:app"),
        application("served:build", prefix="/hi", args={"name": "args"}),
        application("plain:app", prefix="/plain"),
    )
    process_engine.start(VersionSpec("v1", apps))
    observed = settle(process_engine, "v1")
    assert get(observed, "/double/21") == "42"
    assert json.loads(get(observed, "/hi"))["hello"] == "args"
    assert get(observed, "/plain/x").endswith(" /plain")


def test_user_config_of_a_deployment_is_applied(
    process_engine: ProcessEngine, begin: Begin, settle: Settle
) -> None:
    """An override by deployment name reaches ``reconfigure``."""
    begin(
        process_engine,
        "v1",
        "served:app",
        deployments=[{"name": "Hello", "user_config": {"name": "configured"}}],
    )
    assert json.loads(get(settle(process_engine, "v1")))["hello"] == "configured"


@pytest.mark.parametrize(
    ("import_path", "says"),
    [
        ("missing:app", "ModuleNotFoundError: No module named 'no_such_module' (missing.py line 1"),
        ("nowhere:app", "ModuleNotFoundError: No module named 'nowhere'"),
        ("plain:no_app", "AttributeError: module 'plain' has no attribute 'no_app'"),
        ("plain:ASGI", "has no attribute 'ASGI'"),
        ("plain:__name__", "plain:__name__ is a str: neither a Serve application nor an ASGI app"),
        ("exits:app", "SystemExit: no licence (exits.py line 1"),
        ("served:broken", "RuntimeError: no model file (served.py line 17 in load"),
    ],
)
def test_a_start_that_cannot_work_says_why(
    process_engine: ProcessEngine, begin: Begin, settle: Settle, import_path: str, says: str
) -> None:
    """FAILED, with the error and the user's line in one sentence, until it is stopped."""
    begin(process_engine, "v1", import_path)
    observed = settle(process_engine, "v1")
    assert observed.state is EngineState.FAILED
    assert says in observed.message
    assert len(observed.message) < 300
    process_engine.stop_all()
    assert process_engine.observe("v1").state is EngineState.GONE


def test_a_start_that_hangs_fails(home: Path, begin: Begin, settle: Settle) -> None:
    """Past its deadline a start has failed, and stays failed for a later plane, too."""
    engine = ProcessEngine(home / "state", home / "run", start_deadline_s=0.3)
    begin(engine, "v1", "asleep:app")
    assert "did not come up within 0.3 s" in settle(engine, "v1").message
    later = ProcessEngine(home / "state", home / "run")
    assert later.observe("v1").state is EngineState.FAILED
    later.stop_all()


def test_a_killed_host_is_gone(
    process_engine: ProcessEngine, begin: Begin, settle: Settle, home: Path
) -> None:
    """A host that dies by itself is gone, and it is said how."""
    begin(process_engine, "v1", "plain:app")
    settle(process_engine, "v1")
    os.kill(session_of(home, "v1").sid, signal.SIGKILL)
    observed = settle(process_engine, "v1", state=EngineState.GONE)
    assert "its host process died (SIGKILL)" in observed.message
    begin(process_engine, "v1", "plain:app")
    assert settle(process_engine, "v1").state is EngineState.RUNNING


def test_a_later_plane_adopts(
    process_engine: ProcessEngine, begin: Begin, settle: Settle, home: Path
) -> None:
    """Another engine on the same state finds, observes and stops what the first one started."""
    begin(process_engine, "v1", "plain:app")
    first = settle(process_engine, "v1")
    later = ProcessEngine(home / "state", home / "run")
    assert later.known() == {"v1"}
    assert later.observe("v1") == first
    later.stop_all()
    assert later.known() == set()
    assert process_engine.observe("v1").state is EngineState.GONE


def test_a_host_outlives_the_process_that_started_it(home: Path, code: Path, settle: Settle) -> None:
    """SIGKILL to the plane leaves the version serving for the next plane to adopt."""
    starter = f"""
import os, pathlib, signal
from anyservice_core.plane.engines import ProcessEngine, VersionSpec
engine = ProcessEngine(pathlib.Path({str(home / "state")!r}), pathlib.Path({str(home / "run")!r}))
app = {{"import_path": "plain:app", "runtime_env": {{"working_dir": {str(code)!r}}}}}
engine.start(VersionSpec("v1", (app,)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", starter], cwd=Path.cwd(), timeout=30)
    assert killed.returncode == -signal.SIGKILL
    later = ProcessEngine(home / "state", home / "run")
    assert str(code) in get(settle(later, "v1"))
    later.stop_all()


def test_stopping_finishes_what_is_in_flight(
    process_engine: ProcessEngine, begin: Begin, settle: Settle
) -> None:
    """A request that was accepted is answered, though the version was told to stop meanwhile."""
    begin(process_engine, "v1", "slow:app")
    observed = settle(process_engine, "v1")
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(get(observed)))
    asking.start()
    time.sleep(0.4)  # not readiness: the request has to be in flight, which nothing outside can see
    process_engine.stop_all()
    asking.join()
    assert answers == ["patience"]


def test_stop_all_leaves_nothing(
    process_engine: ProcessEngine, begin: Begin, settle: Settle, home: Path
) -> None:
    """Children of the app in process groups of their own go, too, and of the files only the log stays."""
    child = "import subprocess\nsubprocess.Popen(['sleep', '600'], process_group=0)\nfrom plain import app\n"
    (home / "code" / "parent.py").write_text(child)
    begin(process_engine, "v1", "parent:app", env={"TOKEN": "secret"})
    settle(process_engine, "v1")
    session = session_of(home, "v1")
    assert len(session.members()) == 2
    process_engine.stop_all()
    assert [found for found in procfs.stats() if found.session == session.sid and not found.is_zombie] == []
    assert [path.name for path in (home / "state/hosts/v1").iterdir()] == ["host.log"]
    assert list((home / "run").iterdir()) == []


def test_stop_interrupts_an_import(process_engine: ProcessEngine, begin: Begin, settle: Settle) -> None:
    """A version may be stopped while its module is being imported, and does not fail by that."""
    begin(process_engine, "v1", "asleep:app")
    while process_engine.observe("v1").message != "importing the application":
        time.sleep(0.02)
    process_engine.stop_all()
    assert process_engine.observe("v1").state is EngineState.GONE


def test_a_host_that_will_not_stop_is_killed(home: Path, code: Path, begin: Begin, settle: Settle) -> None:
    """Deaf to both the socket's stop and SIGTERM, it is killed when its time is up."""
    (code / "stubborn.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n"
    )

    class Impatient(ProcessEngine):
        kill_after_s = 0.5

    engine = Impatient(home / "state", home / "run")
    begin(engine, "v1", "stubborn:app")
    while engine.observe("v1").message != "importing the application":
        time.sleep(0.02)
    engine.stop_all()
    assert engine.known() == set()


def test_secrets_are_not_on_the_command_line(
    process_engine: ProcessEngine, begin: Begin, settle: Settle, home: Path
) -> None:
    """Variables are in a file that only the owner may read, never in the process list or a repr."""
    begin(process_engine, "v1", "plain:app", env={"TOKEN": "s3cret"})
    settle(process_engine, "v1")
    command = Path(f"/proc/{session_of(home, 'v1').sid}/cmdline").read_text()
    assert "s3cret" not in command
    assert stat.S_IMODE((home / "state/hosts/v1/spec.json").stat().st_mode) == 0o600
    assert "s3cret" not in repr(VersionSpec("v", ({"env": "s3cret"},)))


def test_it_tells_how_many_requests_are_under_way(
    process_engine: ProcessEngine, begin: Begin, settle: Settle
) -> None:
    """Whoever stops it can see that it is still answering, and when it has answered."""
    begin(process_engine, "v1", "slow:app")
    observed = settle(process_engine, "v1")
    assert observed.under_way == 0
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, observed)
        while process_engine.observe("v1").under_way != 1:
            time.sleep(0.01)
        assert answer.result() == "patience"
    assert process_engine.observe("v1").under_way == 0


def test_what_cannot_be_named_is_refused(process_engine: ProcessEngine, home: Path) -> None:
    """A version id that would leave the state folder, and a run folder too long for sockets."""
    with pytest.raises(PlaneError, match="cannot name a folder"):
        process_engine.start(VersionSpec("../x", ()))
    engine = ProcessEngine(home / "state", home / ("long" * 30))
    with pytest.raises(PlaneError, match="path of a socket is too long"):
        engine.start(VersionSpec("v1", ()))


def test_nothing_is_known_at_first(process_engine: ProcessEngine) -> None:
    """An unknown version is gone, stopping it is fine, and so is stopping nothing."""
    assert process_engine.observe("v9").state is EngineState.GONE
    process_engine.stop("v9")
    process_engine.stop_all()
    assert process_engine.known() == set()
