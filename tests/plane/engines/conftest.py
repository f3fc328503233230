"""Small apps to run, and engines that are stopped whatever a test does."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.plane.engines import Engine, EngineState, Observed, ProcessEngine, RayEngine, VersionSpec
from anyservice_core.plane.engines.sessions import Session

ASGI_APP = """
import os
async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = f"{os.environ.get('WHO')} {os.getcwd()} {scope['root_path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""

SLOW_APP = """
import asyncio
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await asyncio.sleep(1.0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"patience"})
"""

SERVE_APP = """
import os
from ray import serve
import meeting

@serve.deployment
class Hello:
    def __init__(self, name): self.name = name
    def reconfigure(self, config): self.name = config["name"]
    def __call__(self, request):
        if request.query_params.get("meet"): meeting.barrier.wait(timeout=10)
        return {"hello": self.name, "who": os.environ.get("WHO"), "cwd": os.getcwd()}

@serve.deployment
class Broken:
    def __init__(self): self.load()
    def load(self): raise RuntimeError("no model file")
    def __call__(self): return None

app = Hello.bind("world")
broken = Broken.bind()
def build(args): return Hello.bind(args["name"])
"""

FASTAPI_APP = """
from fastapi import FastAPI
from ray import serve
api = FastAPI()

@serve.deployment
class Double:
    def __call__(self, number): return 2 * number

@serve.deployment
@serve.ingress(api)
class Api:
    def __init__(self, double): self.double = double
    @api.get("/double/{number}")
    async def compute(self, number: int): return await self.double.remote(number)

app = Api.bind(Double.bind())
"""

MODULES = {
    "plain": ASGI_APP,
    "slow": SLOW_APP,
    "served": SERVE_APP,
    "fast": FASTAPI_APP,
    "meeting": "import threading\nbarrier = threading.Barrier(2)\n",
    "missing": "import no_such_module\n",
    "asleep": "import time; time.sleep(600)\n",
    "exits": "import sys; sys.exit('no licence')\n",
}


def kill_recorded(state_dir: Path) -> None:
    """End what the hosts' records name, even if the engine under test cannot."""
    for record in state_dir.glob("hosts/*/host.json"):
        session = Session.from_dict(json.loads(record.read_text()))
        while session.members():
            session.kill()
            time.sleep(0.02)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short path: state, run and code below it; nothing that was started there survives."""
    path = Path(tempfile.mkdtemp(prefix="as-"))
    yield path
    kill_recorded(path / "state")
    shutil.rmtree(path)


@pytest.fixture
def code(home: Path) -> Path:
    """A working_dir with one module per kind of app."""
    folder = home / "code"
    folder.mkdir()
    for name, source in MODULES.items():
        (folder / f"{name}.py").write_text(source)
    return folder


@pytest.fixture
def process_engine(home: Path) -> Iterator[ProcessEngine]:
    engine = ProcessEngine(home / "state", home / "run")
    yield engine
    engine.stop_all()


@pytest.fixture
def ray_engine(home: Path) -> Iterator[RayEngine]:
    engine = RayEngine(home / "state", home / "run")
    yield engine
    engine.stop_all()


@pytest.fixture
def application(code: Path) -> Callable[..., dict[str, Any]]:
    def make(
        import_path: str, *, prefix: str = "/", env: dict[str, str] | None = None, **more: Any
    ) -> dict[str, Any]:
        runtime_env = {"working_dir": str(code), "env_vars": env or {}}
        return {
            "name": import_path.replace(":", "-"),
            "import_path": import_path,
            "route_prefix": prefix,
            "runtime_env": runtime_env,
            **more,
        }

    return make


@pytest.fixture
def begin(application: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Start a version of one application, by import path."""

    def start(engine: Engine, version_id: str, import_path: str, **more: Any) -> None:
        engine.start(VersionSpec(version_id, (application(import_path, **more),)))

    return start


@pytest.fixture
def settle() -> Callable[..., Observed]:
    """Wait until a version is no longer starting (or is in ``state``), and return what was observed."""

    def wait(
        engine: Engine, version_id: str, *, state: EngineState | None = None, timeout_s: float = 50.0
    ) -> Observed:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            observed = engine.observe(version_id)
            if observed.state is state or (state is None and observed.state is not EngineState.STARTING):
                return observed
            time.sleep(0.02)
        raise AssertionError(f"still {observed} after {timeout_s} s")

    return wait
