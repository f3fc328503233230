from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.plane.engines import EngineState, Observed, RayEngine
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
