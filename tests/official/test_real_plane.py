"""The official client drives the real plane through a whole life, as a library and from a shell.

Each step is checked with our own client, and with a request to the service where it has one to answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from anyservice_core import Client, ServiceStatus
from anyservice_core.plane import control, daemon

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

ASGI = """
import os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": VERSION + os.environ["GREETING"].encode()})
"""


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Iterator[dict[str, Any]]:
    state_dir = tmp_path_factory.mktemp("plane")
    settings = daemon.PlaneSettings(
        state_dir=state_dir, port=0, engine="process", first_service_port=18900, ladder_hold_s=0.3
    )
    yield control.spawn(settings)
    control.down(state_dir)


@dataclass
class Life:
    """A service's versions on disk, and what is seen of it from outside."""

    name: str
    folder: Path
    client: Client

    def config(self, version: str, *, named: str | None = None) -> dict[str, Any]:
        """Write an application that answers ``version``, and give the config that deploys it, so ``named``."""
        app = self.folder / version
        app.mkdir()
        (app / "main.py").write_text(f"VERSION = {version.encode()!r}\n{ASGI}")
        return {
            "name": self.name,
            "version_name": named or version,
            "applications": [{"import_path": "main:app"}],
            "working_dir": str(app),
            "env_vars": {"GREETING": "!"},
        }

    def file(self, version: str, *, named: str | None = None) -> str:
        """The same as a YAML file."""
        path = self.folder / f"{version}.yaml"
        path.write_text(yaml.safe_dump(self.config(version, named=named)))
        return str(path)

    def seen(self) -> ServiceStatus:
        return self.client.status(self.name)

    def answers(self) -> str:
        """What the service says to a request with its token."""
        status = self.seen()
        headers = {"Authorization": f"Bearer {status.query_auth_token}"}
        return httpx.get(str(status.query_url), headers=headers, timeout=30, trust_env=False).text

    def wait(self, **goal: Any) -> None:
        self.client.wait(self.name, poll_interval_s=0.2, timeout_s=60, **goal)


@pytest.fixture
def life(record, tmp_path, request) -> Iterator[Life]:
    with Client(record["host"], record["token"]) as client:
        yield Life(request.node.name.replace("_", "-"), tmp_path, client)


def test_the_official_library_lives_a_whole_life(life, record, make_official):
    """Deploy, update in place, canary, rollback, canary, promotion, list, and the ways to end, all believed by both."""
    official = make_official(record["host"], record["token"])

    def call(verb: str, /, **arguments: Any) -> Any:
        answer = official.call(verb, arguments)
        assert "error" not in answer, answer
        return answer["value"]

    id = call("deploy", config=life.config("v1"))
    call("wait", name=life.name, state="RUNNING", timeout_s=60, _interval_s=0.2)
    assert (life.seen().id, life.answers()) == (id, "v1!")

    version = life.seen().primary_version
    assert call("deploy", config=life.config("v1.1", named="v1"), in_place=True) == id
    call("wait", name=life.name, state="RUNNING", timeout_s=60, _interval_s=0.2)
    assert (life.seen().primary_version.id, life.answers()) == (version.id, "v1.1!")

    two = life.config("v2")
    assert call("deploy", config=two, canary_percent=20) == id
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=20)
    status = call("status", name=life.name)
    assert [status[key]["weight"] for key in ("primary_version", "canary_version")] == [80, 20]
    call("rollback", name=life.name)
    life.wait(state="RUNNING", version="v1")
    assert life.answers() == "v1.1!"

    call("deploy", config=two, canary_percent=50)
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=50)
    call("deploy", config=two, canary_percent=100)
    life.wait(state="RUNNING", version="v2")
    assert life.answers() == "v2!"
    assert call("list", name=life.name, state_filter=["RUNNING"]) == [life.name]

    assert call("terminate", name=life.name) == id
    call("wait", name=life.name, state="TERMINATED", timeout_s=60, _interval_s=0.2)
    call("archive", name=life.name)
    assert call("list", name=life.name) == []
    call("delete", name=life.name)
    assert call("list", name=life.name, include_archived=True) == []


def test_the_official_command_lives_a_whole_life(life, record, official_env, tmp_path):
    """Every command of the official CLI does on the real plane what it says."""
    environment = official_env(record["host"], record["token"], tmp_path)
    anyscale = Path(sys.executable).parent / "anyscale"

    def run(*words: str) -> str:
        done = subprocess.run(
            [anyscale, "service", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("deploy", "-f", life.file("v1"))
    run("wait", "-n", life.name, "--state", "running", "-t", "60")
    assert life.answers() == "v1!"
    run("deploy", "-f", life.file("v1.1", named="v1"), "--in-place")
    run("wait", "-n", life.name, "--state", "running", "-t", "60")
    assert life.answers() == "v1.1!"
    run("deploy", "-f", life.file("v2"), "--canary-percent", "30")
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=30)
    told = json.loads(run("status", "-n", life.name, "-o", "json"))
    assert (told["state"], told["canary_version"]["weight"]) == ("ROLLING_OUT", 30)
    run("rollback", "-n", life.name)
    life.wait(state="RUNNING", version="v1")
    assert life.name in run("list", "--no-interactive", "-o", "json", "-n", life.name)
    run("terminate", "-n", life.name)
    life.wait(state="TERMINATED")
    run("archive", "-n", life.name)
    assert list(life.client.list(name=life.name)) == []
    run("delete", "-n", life.name)
    assert list(life.client.list(name=life.name, include_archived=True)) == []
