"""Several ASGI apps behind one port, by route prefix, as Serve's own proxy does it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

__all__ = ["Lifespan", "LifespanError", "Mounts"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class LifespanError(Exception):
    """An app said that its start-up failed; the text is what it said."""


class Mounts:
    """Calls the app with the longest prefix that matches; ``root_path`` grows by that prefix.

    ``/-/healthz`` and ``/-/routes`` answer as on a Serve proxy.
    """

    def __init__(self, apps: Mapping[str, Any]) -> None:
        self._apps = dict(sorted(apps.items(), key=lambda item: -len(item[0])))
        self._lifespans = {prefix: Lifespan(app) for prefix, app in apps.items()}

    async def startup(self) -> None:
        for lifespan in self._lifespans.values():
            await lifespan.startup()

    async def shutdown(self) -> None:
        for lifespan in self._lifespans.values():
            await lifespan.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        prefix = self._match(path)
        if path == "/-/healthz":
            await _answer(send, 200, b"success", "text/plain")
        elif path == "/-/routes":
            await _answer(
                send, 200, json.dumps(dict.fromkeys(self._apps, "default")).encode(), "application/json"
            )
        elif prefix is not None:
            await self._apps[prefix](self._inside(scope, prefix), receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await _answer(send, 404, f"Path '{path}' not found. ".encode(), "text/plain")

    def _match(self, path: str) -> str | None:
        for prefix in self._apps:
            if prefix in {"/", path} or path.startswith(prefix + "/"):
                return prefix
        return None

    def _inside(self, scope: Scope, prefix: str) -> Scope:
        root = scope.get("root_path", "") + ("" if prefix == "/" else prefix)
        return {**scope, "root_path": root, "state": dict(self._lifespans[prefix].state)}


class Lifespan:
    """Start-up and shutdown of one app. An app that does not know lifespans is left in peace."""

    def __init__(self, app: Any) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        self._task = asyncio.create_task(self._run())
        said = await self._exchange("lifespan.startup")
        if said["type"] == "lifespan.startup.failed":
            raise LifespanError(said.get("message") or "the app's start-up failed")

    async def shutdown(self) -> None:
        if self._task is not None and not self._task.done():
            await self._exchange("lifespan.shutdown")
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._task, 5.0)

    async def _exchange(self, kind: str) -> Message:
        await self._inbox.put({"type": kind})
        return await self._outbox.get()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._inbox.get, self._outbox.put)
        except Exception:  # noqa: BLE001  the protocol's way to say "not supported"
            await self._outbox.put({"type": "unsupported"})
        else:
            await self._outbox.put({"type": "ended"})


async def _answer(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
