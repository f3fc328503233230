"""The command line against a plane in this process."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from anyservice_core.cli import root
from anyservice_core.testing import FakePlane

Run = Callable[..., Result]


@dataclass(frozen=True)
class Sent:
    """A request that a command made."""

    line: str
    query: dict[str, list[str]]
    body: Any


class Recorder(FakePlane):
    """A plane that remembers what it was asked, word for word."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sent] = []
        self.hosts: list[str | None] = []

    @property
    def transport(self) -> httpx.MockTransport:
        """The plane's, with an ear on it."""
        inner = super().transport

        def listen(request: httpx.Request) -> httpx.Response:
            query = {key: request.url.params.get_list(key) for key in request.url.params}
            body = (
                json.loads(request.read()) if "/bundles/" not in request.url.path and request.read() else None
            )
            self.sent.append(Sent(f"{request.method} {request.url.path}", query, body))
            return images(request) or inner.handler(request)  # type: ignore[return-value]

        return httpx.MockTransport(listen)

    def asked(self, line: str) -> Sent:
        """The last request whose line ends so."""
        return next(one for one in reversed(self.sent) if one.line.endswith(line))


BUILD = {"id": "bld_local11111111111111111111111", "cluster_environment_id": "apt_1", "status": "succeeded"}


def images(request: httpx.Request) -> httpx.Response | None:
    """This plane builds no images; here it takes any as its own."""
    match f"{request.method} {request.url.path.rstrip('/')}":
        case "POST /api/v2/builds/get_or_create_build_from_image_uri":
            return httpx.Response(200, json={"result": BUILD})
        case "POST /ext/v0/cluster_environments/search":
            return httpx.Response(
                200, json={"results": [{"id": "apt_1", "name": "image-for-service-recommender"}]}
            )
        case "GET /ext/v0/cluster_environment_builds":
            return httpx.Response(200, json={"results": []})
        case "POST /ext/v0/cluster_environment_builds":
            return httpx.Response(200, json={"result": BUILD})
    return None


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for what this machine remembers."""
    monkeypatch.setenv("ANYSERVICE_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def plane() -> Iterator[Recorder]:
    with Recorder() as one:
        yield one


@pytest.fixture
def run(plane: Recorder) -> Run:
    """Run the command with these arguments, its client talking to the plane."""

    def make(host: str | None, **options: Any) -> Any:
        plane.hosts.append(host)
        options.pop("token", None)
        return plane.client(**options)

    def invoke(*args: str, input: str | None = None) -> Result:
        return CliRunner().invoke(root, args, obj=make, input=input)

    return invoke


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config file with a folder beside it."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "main.py").write_text("app = 1\n")
    file = tmp_path / "service.yaml"
    file.write_text(
        f"name: recommender\nworking_dir: {app}\nexcludes: ['*.bin']\nenv_vars: {{A: '1', B: '2'}}\n"
        "applications:\n- import_path: main:app\n"
    )
    return file


@pytest.fixture
def running(run: Run, config: Path) -> None:
    """A service that runs, deployed by hand."""
    assert run("deploy", "-f", str(config), "--version-name", "v1").exit_code == 0
    assert run("wait", "recommender").exit_code == 0


# ── a real terminal ─────────────────────────────────────────────────────────

BESIDE_A_PLANE = """
import fcntl, signal, sys, termios
signal.signal(signal.SIGINT, signal.default_int_handler)  # a runner in the background ignores it
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
from anyservice_core.cli import root
from anyservice_core.testing import FakePlane
from anyservice_core import ServiceConfig

plane = FakePlane()
with plane.client() as client:
    for name in {names}:
        client.deploy(ServiceConfig(name=name, version_name="v1", applications=[{{"import_path": "main:app"}}]))
    for name in {names}:
        client.wait(name)
root.main(sys.argv[1:], prog_name="anyservice", obj=lambda host, **options: plane.client(**options))
"""


@dataclass
class Terminal:
    """A command at a terminal of 80 by 24, and what it wrote there."""

    process: subprocess.Popen[bytes]
    screen: int
    text: str = ""
    deadline: float = field(default_factory=lambda: time.monotonic() + 30)

    def expect(self, words: str) -> None:
        """Read until these words are on the screen."""
        while words not in self.text:
            assert self._read(), f"{words!r} never came: {self.text!r}"

    def type(self, keys: str) -> None:
        os.write(self.screen, keys.encode())

    def insist(self, keys: str, words: str) -> None:
        """Type until these words are there: Python misses a Ctrl-C in the instant before it begins to read."""
        while words not in self.text:
            assert time.monotonic() < self.deadline, self.text
            self.type(keys)
            patience = time.monotonic() + 2
            while words not in self.text and (left := patience - time.monotonic()) > 0:
                self._read(left)

    def end(self) -> int:
        """Read to the end; give the exit code."""
        while self._read():
            pass
        return self.process.wait(timeout=10)

    def _read(self, timeout_s: float = 30.0) -> bool:
        ready, _, _ = select.select([self.screen], [], [], timeout_s)
        try:
            more = os.read(self.screen, 4096) if ready else b""
        except OSError:  # Linux says so when the other end has closed
            more = b""
        self.text += more.decode()
        return bool(more)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Run the command at a terminal, beside a plane with these services on it."""
    opened: list[Terminal] = []

    def start(*args: str, names: tuple[str, ...] = ("recommender",), **env: str) -> Terminal:
        screen, ours = pty.openpty()
        clean = {
            key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "LINES"}
        }
        process = subprocess.Popen(
            [sys.executable, "-c", BESIDE_A_PLANE.format(names=names), *args],
            stdin=ours,
            stdout=ours,
            stderr=ours,
            start_new_session=True,
            env={**clean, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", "PYTHONUTF8": "1", **env},
        )
        os.close(ours)
        opened.append(Terminal(process, screen))
        return opened[-1]

    yield start
    for one in opened:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait()
        os.close(one.screen)
