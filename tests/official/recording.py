"""A control plane on loopback that writes down who asked what.

It is the product's own plane (``plane.app`` over a ``FakePlane``), so both clients meet the same rules, with a
``World`` in front for what a plane on one machine refuses on purpose. Each scenario gets a fresh one behind the
same address, because the official client reads its host once in the life of a process.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl

import uvicorn
from starlette.responses import JSONResponse, Response

from anyservice_core.plane.app import application
from anyservice_core.plane.routes import ApiReply, ApiRequest
from anyservice_core.testing import TOKEN, FakePlane
from tests.official.world import World

__all__ = ["Recorded", "RecordingServer"]


@dataclass(frozen=True)
class Recorded:
    """A request as it came over the wire; ``raw`` is its body, ``body`` the same where it is JSON."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    body: Any
    raw: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


class RecordingServer:
    """``plane`` and ``world`` are the present scenario's; ``requests`` is what was asked of them so far."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.host = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.token = TOKEN
        self.plane: FakePlane | None = None
        self.step_s = 0.0
        self.fresh()
        config = uvicorn.Config(self, log_level="error", lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < deadline, "the recording server did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=30)
        self._socket.close()
        if self.plane:
            self.plane.close()

    def fresh(self, prepare: Callable[[FakePlane], None] = lambda _: None, *, step_s: float = 0.0) -> None:
        """Begin anew. ``prepare`` makes what shall be there already; ``step_s`` passes with each request."""
        if self.plane:
            self.plane.close()
        self.plane, self.world, self.step_s = FakePlane(), World(), 0.0
        prepare(self.plane)
        self.step_s = step_s
        self.requests: list[Recorded] = []
        self._app = application(self.plane.api)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = await _read(receive)
        request = _recorded(scope, raw)
        self.requests.append(request)
        if self.plane and self.step_s:
            self.plane.advance(self.step_s)
        reply = self.world.answer(_asked(request))
        if reply is not None:
            await _response(reply, self.world.headers)(scope, receive, send)
            return
        raw = self.world.rewritten(request.line, raw, self.plane.api.registry)
        scope["path"] = self.world.own_path(scope["path"])
        await self._app(scope, _once(raw), send)


async def _read(receive: Any) -> bytes:
    raw = b""
    while True:
        message = await receive()
        raw += message.get("body", b"")
        if not message.get("more_body"):
            return raw


def _once(raw: bytes) -> Any:
    messages = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _recorded(scope: Any, raw: bytes) -> Recorded:
    headers = {key.decode(): value.decode() for key, value in scope["headers"]}
    json_body = raw and not scope["path"].startswith("/plane/v1/bundles/")
    return Recorded(
        scope["method"],
        scope["path"],
        tuple(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
        headers,
        json.loads(raw) if json_body else None,
        raw,
    )


def _asked(request: Recorded) -> ApiRequest:
    return ApiRequest(request.method, request.path, request.query, request.headers, request.body)


def _response(reply: ApiReply, headers: Mapping[str, str]) -> Response:
    body = {"result": reply.body} if reply.status < 400 and "results" not in reply.body else reply.body
    return JSONResponse(body, status_code=reply.status, headers=dict(headers))
