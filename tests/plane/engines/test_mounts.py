from __future__ import annotations

from typing import Any

import pytest

from anyservice_core.plane.engines.mounts import LifespanError, Mounts

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Echo:
    """Answers with its name and the root path it was given; keeps a diary of its lifespan."""

    def __init__(self, name: str, *, fails: bool = False) -> None:
        self.name = name
        self.fails = fails
        self.diary: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{self.name} {scope['root_path']}".encode()})

    async def _live(self, receive: Any, send: Any) -> None:
        for _ in range(2):
            self.diary.append((await receive())["type"])
            if self.fails:
                await send({"type": "lifespan.startup.failed", "message": "no database"})
                return
            await send({"type": self.diary[-1] + ".complete"})


async def get(mounts: Mounts, path: str, kind: str = "http") -> tuple[int, str]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    await mounts({"type": kind, "path": path, "root_path": ""}, receive, send)
    if kind == "websocket":
        return 0, sent[0]["type"]
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize(
    ("path", "answer"),
    [("/", "root "), ("/x", "root "), ("/api", "api /api"), ("/api/v", "api /api"), ("/apix", "root ")],
)
async def test_the_longest_prefix_wins(path: str, answer: str) -> None:
    """A prefix matches whole segments only, and becomes the app's root path."""
    mounts = Mounts({"/": Echo("root"), "/api": Echo("api")})
    assert await get(mounts, path) == (200, answer)


async def test_no_app_is_404() -> None:
    """A path that belongs to no application is not found, and its websocket closed."""
    mounts = Mounts({"/api": Echo("api")})
    assert (await get(mounts, "/other"))[0] == 404
    assert await get(mounts, "/other", "websocket") == (0, "websocket.close")


async def test_serves_own_paths_answer_as_on_a_proxy() -> None:
    """Probes written for Serve's proxy work here, too."""
    mounts = Mounts({"/": Echo("root")})
    assert await get(mounts, "/-/healthz") == (200, "success")
    assert await get(mounts, "/-/routes") == (200, '{"/": "default"}')


async def test_every_app_lives_its_lifespan() -> None:
    """Start-up and shutdown reach each app once."""
    apps = {"/": Echo("root"), "/api": Echo("api")}
    mounts = Mounts(apps)
    await mounts.startup()
    await mounts.shutdown()
    assert [app.diary for app in apps.values()] == [["lifespan.startup", "lifespan.shutdown"]] * 2


async def test_a_failed_start_up_is_an_error_with_the_apps_words() -> None:
    """An app that says its start-up failed stops the version, in its own words."""
    with pytest.raises(LifespanError, match="no database"):
        await Mounts({"/": Echo("root", fails=True)}).startup()


async def test_an_app_without_lifespan_is_left_in_peace() -> None:
    """Raising on the lifespan scope is the protocol's way to decline it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"

    mounts = Mounts({"/": app})
    await mounts.startup()
    await mounts.shutdown()
