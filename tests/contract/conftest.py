"""One suite, four ways: on the fake and on the real plane, with the sync and the async client."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from anyservice_core import AsyncClient, Client, ServiceConfig
from anyservice_core.plane import control, daemon
from anyservice_core.testing import FakePlane
from tests.asgi import HELLO

APP = HELLO.replace('b"hello"', "VERSION")
names = itertools.count(1)


@dataclass
class Plane:
    """A plane of either kind, spoken to in either colour."""

    kind: str
    client: Callable[..., Client]
    async_client: Callable[..., AsyncClient]
    folder: Path
    colour: str = "sync"
    fake: FakePlane | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Give a client's method; what it returns is a plain value in both colours."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "wait" and self.kind == "real":
                kwargs.setdefault("poll_interval_s", 0.1)
            if self.colour == "sync":
                with self.client() as client:
                    found = getattr(client, name)(*args, **kwargs)
                    return list(found) if name == "list" else found
            return anyio.run(self._call_async, name, args, kwargs)

        return call

    async def _call_async(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        async with self.async_client() as client:
            if name == "list":
                return [item async for item in client.list(*args, **kwargs)]
            return await getattr(client, name)(*args, **kwargs)

    def service_name(self) -> str:
        return f"svc-{os.getpid()}-{next(names)}"

    def break_update(self, name: str) -> None:
        """Let the update in place under way fail as bad code does; on a real plane it is bad code that does."""
        if self.fake is not None:
            version = self.fake.service(name).primary.name
            self.fake.break_version(version, "ImportError: no module named 'nothing_of_that_name'")

    def config(self, name: str, version: str, *, code: str = APP, folder: str | None = None) -> ServiceConfig:
        """Give a config whose application answers its version, in a folder of its own."""
        app = self.folder / f"{name}-{folder or version}"
        app.mkdir(parents=True)
        (app / "main.py").write_text(f"VERSION = {(folder or version).encode()!r}\n{code}")
        return ServiceConfig(
            name=name, version_name=version, working_dir=str(app), applications=[{"import_path": "main:app"}]
        )


@pytest.fixture(scope="session")
def real_plane(tmp_path_factory) -> Iterator[dict[str, Any]]:
    state_dir = tmp_path_factory.mktemp("plane")
    settings = daemon.PlaneSettings(
        state_dir=state_dir, port=0, engine="process", first_service_port=18700, ladder_hold_s=0.3
    )
    yield control.spawn(settings)
    control.down(state_dir)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.real)])
def kind(request) -> str:
    return request.param


@pytest.fixture(params=["sync", "async"])
def plane(request, kind, tmp_path) -> Iterator[Plane]:
    if kind == "real":
        record = request.getfixturevalue("real_plane")
        address = (record["host"], record["token"])
        yield Plane(kind, lambda: Client(*address), lambda: AsyncClient(*address), tmp_path, request.param)
        return
    with FakePlane(start_s=2) as fake:
        yield Plane(kind, fake.client, fake.async_client, tmp_path, request.param, fake)
