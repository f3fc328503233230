"""A real plane for benchmarks: its own folder and ports, and nothing left of it afterwards."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anyservice_core.client import Client
from anyservice_core.models.config import ServiceConfig
from anyservice_core.plane import control
from anyservice_core.plane.daemon import PlaneSettings
from anyservice_core.plane.engines.procfs import stats

SERVE = """
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class App:
    async def __call__(self, request):
        return "hello"

app = App.bind()
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""
CODE = {"ray": SERVE, "process": ASGI}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def plane(engine: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """Run a plane; give its record and its folder. It ends with us, also when `timeout` says that time is up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped before its end"))
    with tempfile.TemporaryDirectory(prefix="anyservice-bench-") as folder:
        state = Path(folder) / "state"
        settings = PlaneSettings(state, port=0, engine=engine, first_service_port=min(free_port(), 65_000))
        try:
            yield control.spawn(settings), state
        finally:
            control.down(state)


def config(folder: Path, engine: str, name: str = "hello") -> ServiceConfig:
    app = folder / f"app-{name}"
    app.mkdir(exist_ok=True)
    (app / "main.py").write_text(CODE[engine])
    return ServiceConfig(name=name, working_dir=str(app), applications=[{"import_path": "main:app"}])


def deploy(record: dict[str, Any], asked: ServiceConfig, *, timeout_s: float = 240) -> Any:
    """Deploy a service and wait until it is RUNNING; give its status."""
    with Client(record["host"], record["token"]) as client:
        client.deploy(asked)
        return client.wait(asked.name, timeout_s=timeout_s, poll_interval_s=0.1)


def pss_mib(pids: list[int]) -> float:
    """Give what processes hold of memory, what they share counted once among those who share it."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                total += int(line.split()[1]) if line.startswith("Pss:") else 0
    return total / 1024


def of_session(session: int) -> list[int]:
    return [stat.pid for stat in stats() if stat.session == session]
