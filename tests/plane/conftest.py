"""A real plane for tests: its own state directory, its own ports, and nothing left of it afterwards."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from anyservice_core.client import Client
from anyservice_core.models.config import ServiceConfig
from anyservice_core.testing import HOST, TOKEN, FakePlane

ASGI = """
import asyncio
from pathlib import Path

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    version = Path("version.txt").read_text()
    await asyncio.sleep({"/slow": 0.4, "/long": 4.0}.get(scope["path"], 0))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": version.encode()})
"""
SERVE = """
import asyncio
from pathlib import Path
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class App:
    def __init__(self):
        self.version = Path("version.txt").read_text()

    async def __call__(self, request):
        await asyncio.sleep({"/slow": 0.4, "/long": 4.0}.get(request.url.path, 0))
        return self.version

app = App.bind()
"""


@dataclass
class RealPlane:
    """A plane in the background and what tests ask of it."""

    state_dir: Path
    engine: str
    ports: int
    record: dict[str, Any] = field(default_factory=dict)

    def up(self) -> None:
        from anyservice_core.plane import control, daemon

        settings = daemon.PlaneSettings(
            state_dir=self.state_dir,
            port=0,
            engine=self.engine,
            first_service_port=self.ports,
            ladder_hold_s=0.5,
        )
        self.record = control.spawn(settings, timeout_s=50)

    def down(self) -> None:
        from anyservice_core.plane import control

        control.down(self.state_dir)

    def kill(self) -> None:
        """SIGKILL the plane and wait until it is gone."""
        from anyservice_core.plane import control
        from anyservice_core.plane.engines.spawn import reap

        os.kill(self.record["pid"], signal.SIGKILL)
        while control.read_record(self.state_dir):
            reap(self.record["pid"])
            time.sleep(0.01)

    def client(self) -> Client:
        return Client(self.record["host"], self.record["token"])

    def config(
        self, folder: Path, version: str, *, code: str | None = None, named: str | None = None
    ) -> ServiceConfig:
        """Write an application that answers ``version``, and give the config that deploys it, so ``named``."""
        app = folder / version
        app.mkdir()
        (app / "main.py").write_text(code or (SERVE if self.engine == "ray" else ASGI))
        (app / "version.txt").write_text(version)
        return ServiceConfig(
            name="svc",
            version_name=named or version,
            working_dir=str(app),
            applications=[{"import_path": "main:app"}],
        )


def free_ports(count: int = 20) -> int:
    """Give the first of a run of ports that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return min(probe.getsockname()[1], 65000 - count)


@pytest.fixture
def make_plane(tmp_path) -> Iterator[Callable[[str], RealPlane]]:
    planes: list[RealPlane] = []

    def make(engine: str) -> RealPlane:
        plane = RealPlane(tmp_path / "state", engine, free_ports())
        planes.append(plane)
        plane.up()
        return plane

    yield make
    for plane in planes:
        plane.down()


@dataclass
class Load:
    """Steady requests to a service for as long as the context lasts, each answer counted and timed."""

    url: str
    token: str
    rps: float = 40.0
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    took_ms: list[tuple[float, float]] = field(default_factory=list)  # when it was sent, how long it took

    def slowest_ms(self, since: float = 0.0) -> float:
        """Give the longest that a request sent since then, on ``time.monotonic``, had to wait."""
        return max((took for sent, took in self.took_ms if sent >= since), default=0.0)

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        with httpx.Client(
            headers={"Authorization": f"Bearer {self.token}"}, timeout=30, trust_env=False
        ) as http:
            for _ in range(int(self.rps * 300)):  # bounded: five minutes at most
                if self._stopping.wait(1 / self.rps):
                    return
                self._send(http)

    def _send(self, http: httpx.Client) -> None:
        sent = time.monotonic()
        try:
            answer = http.get(self.url)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        finally:
            self.took_ms.append((sent, (time.monotonic() - sent) * 1000))
        if answer.status_code == 200:
            self.answers[answer.text] += 1
        else:
            self.failures.append(f"{answer.status_code} {answer.text[:200]}")

    def wait_for(self, version: str, count: int, *, timeout_s: float = 60) -> None:
        """Return once ``count`` more answers came from ``version``."""
        goal, deadline = self.answers[version] + count, time.monotonic() + timeout_s
        while self.answers[version] < goal:
            assert time.monotonic() < deadline, f"{version} answered {self.answers} {self.failures[:3]}"
            time.sleep(0.02)


@pytest.fixture
def loading() -> type[Load]:
    """Give ``Load``, to send steady requests with."""
    return Load


@pytest.fixture
def plane():
    """A plane in memory, with the real one's code."""
    with FakePlane() as plane:
        yield plane


@pytest.fixture
def http(plane):
    """What asks it over HTTP, with the right token."""
    with httpx.Client(base_url=HOST, transport=plane.transport, cookies={"cli_token": TOKEN}) as http:
        yield http
