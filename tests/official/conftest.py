"""Both clients, one after the other, in the same world."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from anyservice_core import Client, ServiceConfig
from anyservice_core.effects import Effect, Sleep
from anyservice_core.errors import AnyserviceError
from anyservice_core.testing import FakePlane
from tests.official.recording import Recorded, RecordingServer
from tests.official.world import World

HERE = Path(__file__).parent
present = importlib.util.find_spec("anyscale") is not None


def pytest_collection_modifyitems(items) -> None:
    missing = pytest.mark.skip(reason="the official client is not here; `make test-official` sets it up")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.official)
            if not present:
                item.add_marker(missing)


@pytest.fixture(scope="session")
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as running:
        yield running


def official_environment(host: str, token: str, home: Path) -> dict[str, str]:
    """Speak to this host and no other: no look-up of releases, no telemetry, no files of the user's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANYSCALE", "ANYSERVICE"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **kept,
        "HOME": str(home),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "ANYSCALE_HOST": host,
        "ANYSCALE_CLI_TOKEN": token,
        "ANYSCALE_SUPPRESS_UPGRADE_WARNING": "1",
        "ANYSCALE_TELEMETRY_SAMPLE_RATE": "0",
    }


class Official:
    """The official client, alive in a process of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"call": name, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the official client ended with {self._process.wait(30)}; see {self._log.name}"
        return json.loads(answer)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()


@pytest.fixture(scope="session")
def make_official(tmp_path_factory) -> Iterator[Callable[[str, str], Official]]:
    """Start the official client for a host and a token."""
    started: list[Official] = []

    def make(host: str, token: str) -> Official:
        home = tmp_path_factory.mktemp("official")
        started.append(Official(official_environment(host, token, home), home / "log.txt"))
        return started[-1]

    yield make
    for running in started:
        running.close()


@pytest.fixture(scope="session")
def official(server, make_official) -> Official:
    """The official client that speaks to the recording server."""
    return make_official(server.host, server.token)


@pytest.fixture
def official_env() -> Callable[[str, str, Path], dict[str, str]]:
    return official_environment


class Ours(Client):
    """Our client without its pauses."""

    def _perform(self, effect: Effect) -> Any:
        return None if isinstance(effect, Sleep) else super()._perform(effect)


@dataclass(frozen=True)
class Run:
    """What a client gave back or raised, and what it asked. ``service_id`` is that of the service called svc before."""

    service_id: str | None
    requests: list[Recorded]
    value: Any = None
    error: str | None = None
    text: str = ""


@dataclass
class Both:
    """Runs one call through each client, each in a fresh world that ``prepare`` and ``script`` made.

    ``step_s`` passes on the plane's clock with each request. In arguments, ``SERVICE_ID`` stands for the id of svc.
    """

    server: RecordingServer
    official: Official
    prepare: Callable[[FakePlane], None] = lambda _: None
    script: Callable[[World], None] = lambda _: None
    step_s: float = 0.0

    SERVICE_ID: ClassVar = "{service id}"

    def theirs(self, call: str, arguments: Mapping[str, Any]) -> Run:
        """What the official client does."""
        id, given = self._begin(arguments)
        answer = self.official.call(call, given)
        found = answer.get("value"), answer.get("error"), answer.get("text", "")
        return Run(id, list(self.server.requests), *found)

    def ours(self, call: str, arguments: Mapping[str, Any], *, again: bool = False) -> Run:
        """What our client does, ``again`` in the very world that the official client was in."""
        id, given = self._begin(arguments, again=again)
        with Ours(self.server.host, self.server.token) as client:
            try:
                if "config" in given:
                    given["config"] = ServiceConfig(**given["config"])
                value = getattr(client, call)(**given)
                value = [service.name for service in value] if call == "list" else value
            except AnyserviceError as error:
                return Run(id, list(self.server.requests), None, type(error).__name__, str(error))
            return Run(id, list(self.server.requests), value)

    def _begin(
        self, arguments: Mapping[str, Any], *, again: bool = False
    ) -> tuple[str | None, dict[str, Any]]:
        if not again:
            self.server.fresh(self.prepare, step_s=self.step_s)
            self.script(self.server.world)
        self.server.requests.clear()
        found = self.server.plane.store.services()
        id = next((service.id for service in found if service.name == "svc"), None)
        return id, {key: id if value == self.SERVICE_ID else value for key, value in arguments.items()}


@pytest.fixture
def both(server, official) -> Both:
    return Both(server, official)
