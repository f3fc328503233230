"""Both clients, one after the other, in the same world."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from anyservice_core import Client, ServiceConfig
from anyservice_core.errors import AnyserviceError
from anyservice_core.testing import FakePlane
from tests.official.clients import Official, Ours, Shell, official_environment
from tests.official.life import Life
from tests.official.recording import Recorded, RecordingServer
from tests.official.world import World

P = TypeVar("P", Official, Shell)
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


@pytest.fixture(scope="session")
def make_official(tmp_path_factory) -> Iterator[Callable[[str, str], Official]]:
    """Start the official client for a host and a token."""
    with starting(Official, lambda: tmp_path_factory.mktemp("official")) as make:
        yield make


@pytest.fixture(scope="session")
def make_shell(tmp_path_factory) -> Iterator[Callable[[str, str], Shell]]:
    """Start the official CLI for a host and a token."""
    with starting(Shell, lambda: tmp_path_factory.mktemp("shell")) as make:
        yield make


@pytest.fixture(scope="module")
def anyscale(record, make_shell) -> Shell:
    """The official CLI for the real plane of a module, whose record that gives."""
    return make_shell(record["host"], record["token"])


@contextmanager
def starting(kind: type[P], new_home: Callable[[], Path]) -> Iterator[Callable[[str, str], P]]:
    """Give what starts one for a host and a token, in a home of its own; all are closed at the end."""
    with ExitStack() as started:

        def make(host: str, token: str) -> P:
            home = new_home()
            program = kind(sys.executable, official_environment(host, token, home), home / "log.txt")
            return started.enter_context(closing(program))

        yield make


@pytest.fixture(scope="session")
def official(server, make_official) -> Official:
    """The official client that speaks to the recording server."""
    return make_official(server.host, server.token)


@pytest.fixture
def official_env() -> Callable[[str, str, Path], dict[str, str]]:
    return official_environment


@pytest.fixture
def life(record, tmp_path, request) -> Iterator[Life]:
    """A service of the test's own on the real plane of its module, called like the test."""
    with Client(record["host"], record["token"]) as client:
        yield Life(request.node.name.removeprefix("test_").replace("_", "-")[:60], tmp_path, client)


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
