from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from anyservice_core.plane.engines import EngineState, Observed, RayEngine, VersionSpec, procfs
from anyservice_core.plane.engines.base import host_id
from anyservice_core.plane.engines.ray_lean import lean_head
from anyservice_core.plane.engines.sessions import Session

pytestmark = [
    pytest.mark.real,
    pytest.mark.ray,
    pytest.mark.timeout(240),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray"),
]

Settle = Callable[..., Observed]


def session_of(home: Path) -> Session:
    return Session.from_dict(json.loads((home / "state/hosts/v1/host.json").read_text()))


def test_a_cluster_serves_outlives_its_starter_and_stops(home: Path, code: Path, settle: Settle) -> None:
    """Started by a process that is then SIGKILLed, it comes up, answers, and stops without a trace."""
    starter = f"""
import os, pathlib, signal
from anyservice_core.plane.engines import RayEngine, VersionSpec
engine = RayEngine(pathlib.Path({str(home / "state")!r}), pathlib.Path({str(home / "run")!r}))
runtime_env = {{"working_dir": {str(code)!r}, "env_vars": {{"WHO": "me"}}}}
engine.start(VersionSpec("v1", ({{"import_path": "served:app", "runtime_env": runtime_env}},)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", starter], timeout=60)
    assert killed.returncode == -signal.SIGKILL

    engine = RayEngine(home / "state", home / "run")
    observed = settle(engine, "v1", timeout_s=200)
    assert observed.state is EngineState.RUNNING, observed
    assert observed.address
    with urllib.request.urlopen("http://{}:{}/".format(*observed.address), timeout=30) as reply:
        assert json.load(reply) == {"hello": "world", "who": "me", "cwd": str(code)}

    session, temp_dir = session_of(home), engine._temp_dir("v1")
    assert len(session.members()) > 4
    assert list((home / "state/hosts/v1/ray-logs/serve").glob("replica_*"))
    engine.stop_all()
    assert session.members() == []
    assert not temp_dir.exists()


def test_a_failed_start_says_why_and_a_killed_host_leaves_no_orphans(
    ray_engine: RayEngine, begin: Callable[..., Any], settle: Settle, home: Path
) -> None:
    """The user's error comes out in a line and frees the cluster; Ray's agents do not outlive a killed host."""
    begin(ray_engine, "v1", "missing:app")
    observed = settle(ray_engine, "v1", timeout_s=200)
    assert observed.state is EngineState.FAILED
    assert observed.message.startswith(
        "ModuleNotFoundError: No module named 'no_such_module' (missing.py line 1"
    )

    begin(ray_engine, "v1", "served:app")  # once more, now with code that works
    assert settle(ray_engine, "v1", timeout_s=200).state is EngineState.RUNNING
    session = session_of(home)
    os.kill(session.sid, signal.SIGKILL)
    assert "SIGKILL" in settle(ray_engine, "v1", state=EngineState.GONE).message
    ray_engine.stop_all()
    assert session.members() == []


CALLING = """
import os
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class NAMEFront:
    back = None
    async def __call__(self, request):
        self.back = self.back or serve.get_app_handle("back")
        return [CODE, await self.back.remote(None), os.environ.get("TOKEN"), os.environ.get("OLD")]

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Back:
    def __call__(self, request): return CODE

front, back = NAMEFront.bind(), Back.bind()
"""


def calling(folder: Path, generation: int, env: dict[str, str]) -> VersionSpec:
    """Two applications, one of which calls the other by name; the first has another class each time."""
    code = folder / f"g{generation}"
    code.mkdir()
    source = CALLING.replace("NAME", f"G{generation}").replace("CODE", str(generation))
    (code / "calls.py").write_text(source)
    runtime_env = {"working_dir": str(code), "env_vars": env}
    applications = tuple(
        {"name": name, "route_prefix": prefix, "import_path": f"calls:{name}", "runtime_env": runtime_env}
        for name, prefix in (("front", "/"), ("back", "/back"))
    )
    return VersionSpec(host_id("v1", generation), applications)


class Asking:
    """Asks an address again and again, and keeps what it was answered, and what others could read meanwhile."""

    def __init__(self, address: tuple[str, int], secret: bytes) -> None:
        self.url = "http://{}:{}/".format(*address)
        self.answers: list[Any] = []
        self.slowest_s = 0.0
        self.seen: list[bytes] = []
        self._secret = secret
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=target) for target in (self._ask, self._spy)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        while not self._stop.wait(0.02):
            began = time.monotonic()
            try:
                with urllib.request.urlopen(self.url, timeout=60) as reply:
                    self.answers.append(json.load(reply))
            except OSError as error:
                self.answers.append(repr(error))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def _spy(self) -> None:
        while not self._stop.wait(0.02):
            for process in procfs.stats():
                with contextlib.suppress(OSError):
                    line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
                    self.seen += [line] if self._secret in line else []

    def wait_for(self, answer: list[Any]) -> None:
        deadline = time.monotonic() + 120
        while self.answers[-1:] != [answer]:
            assert time.monotonic() < deadline, self.answers[-3:]
            time.sleep(0.05)


def test_generations_share_a_cluster_and_take_over_without_a_gap(
    ray_engine: RayEngine, settle: Settle, home: Path
) -> None:
    """Applications that call each other by name, with another class and other variables: no request fails meanwhile.

    Afterwards all have their own names again, no secret was ever on a command line, and code that cannot be
    imported changes nothing.
    """
    ray_engine.start(calling(home, 1, {"TOKEN": "first", "OLD": "1"}))
    observed = settle(ray_engine, "v1", timeout_s=200)
    assert observed.address, observed
    session = session_of(home)
    with Asking(observed.address, b"s3cret") as asking:
        asking.wait_for([1, 1, "first", "1"])
        ray_engine.start(calling(home, 2, {"TOKEN": "s3cret"}))
        assert settle(ray_engine, "v1.2", timeout_s=100).state is EngineState.RUNNING
        assert ray_engine.observe("v1").state is EngineState.RUNNING
        ray_engine.stop("v1")
        asking.wait_for([2, 2, "s3cret", None])
        deadline = time.monotonic() + 60
        while (routes := routes_of(asking.url)) != {"/": "front", "/back": "back"}:
            assert time.monotonic() < deadline, routes
            time.sleep(0.1)
        ray_engine.start(VersionSpec("v1.3", ({"import_path": "nowhere:app", "route_prefix": "/"},)))
        failed = settle(ray_engine, "v1.3", timeout_s=100)
        assert failed.state is EngineState.FAILED
        assert "No module named 'nowhere'" in failed.message
        ray_engine.stop("v1.3")
        asking.wait_for([2, 2, "s3cret", None])
        print(f"slowest of {len(asking.answers)}: {asking.slowest_s * 1000:.0f} ms")
    whole = ([1, 1, "first", "1"], [2, 1, "s3cret", None], [2, 2, "s3cret", None])
    assert [answer for answer in asking.answers if answer not in whole] == []
    assert asking.seen == []
    assert session_of(home) == session
    assert ray_engine.known() == {"v1.2"}
    ray_engine.stop_all()
    assert session.members() == []


def routes_of(url: str) -> Any:
    with urllib.request.urlopen(f"{url}-/routes", timeout=10) as reply:
        return json.load(reply)


def test_settings_that_serve_refuses_cost_no_cluster(
    ray_engine: RayEngine, begin: Callable[..., Any], settle: Settle
) -> None:
    """A setting out of range is named by its path, before a cluster is started."""
    begin(ray_engine, "v1", "served:app", deployments=[{"name": "Hello", "num_replicas": -1}])
    observed = settle(ray_engine, "v1")
    assert observed.state is EngineState.FAILED
    assert "applications.0.deployments.0.num_replicas" in observed.message


def test_a_lean_head_is_lean_within_and_as_ever_after() -> None:
    """The switches for what is left out exist in this Ray, and are put back."""
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    before = Node.start_api_server
    with lean_head():
        params = RayParams()
        assert (params.no_monitor, params.include_log_monitor) == (True, False)
        assert Node.start_api_server is not before
    assert (RayParams().no_monitor, Node.start_api_server) == (False, before)


def test_stopping_while_the_cluster_starts(
    ray_engine: RayEngine, begin: Callable[..., Any], settle: Settle, home: Path
) -> None:
    """A version may be stopped at any moment of its start, and leaves nothing."""
    begin(ray_engine, "v1", "served:app")
    session = session_of(home)
    while len(session.members()) < 3:
        time.sleep(0.05)
    ray_engine.stop_all()
    assert session.members() == []
    assert ray_engine.observe("v1").state is EngineState.GONE
