"""A wire on which things go wrong: a real socket between a client and a plane, with a fault where it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import anyio
import httpx

from anyservice_core import AsyncClient, Client, ResultIterator
from anyservice_core.effects import Effect, Now, Sleep
from anyservice_core.testing import TOKEN, FakePlane

__all__ = ["Fault", "Wire", "answer"]

LONG_S = 30.0  # a test that waits so long has failed


@dataclass(frozen=True)
class Fault:
    """What becomes of a request: whether the plane ``acts`` on it, and what is sent back, ``None`` being nothing.

    With ``stalls`` the connection is held without a word until the client has given up.
    """

    says: str
    sends: bytes | None = None
    acts: bool = False
    stalls: bool = False

    def __str__(self) -> str:
        return self.says


def answer(status: int, body: bytes = b"{}", *, length: int | None = None, **headers: str) -> bytes:
    """A whole answer, after which the connection ends."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named |= {"Content-Length": str(len(body) if length is None else length), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body


def in_seconds(seconds: int) -> dict[str, str]:
    """A ``Retry-After`` that is a date, and the date that it is seen from."""
    now = datetime(2027, 1, 15, tzinfo=UTC)
    then = now + timedelta(seconds=seconds)
    return {"Retry_After": format_datetime(then, usegmt=True), "Date": format_datetime(now, usegmt=True)}


class Wire:
    """Serves a plane on loopback. Requests whose number is in ``at`` meet ``fault``; ``seen`` lists them all."""

    def __init__(
        self, plane: FakePlane, fault: Fault, at: Callable[[int], bool], *, patience_s: float = 10
    ) -> None:
        self.plane, self.fault, self.at, self.patience_s = plane, fault, at, patience_s
        self.seen: list[str] = []
        self.pauses: list[Sleep] = []
        self.over = threading.Event()
        self._plane_lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.host = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def call(self, colour: str, act: Callable[[Any], Any]) -> Any:
        """What a client of this colour gives back for ``act(client)``."""
        if colour == "sync":
            with _Timed(self) as client:
                found = act(client)
                return list(found) if isinstance(found, ResultIterator) else found
        return anyio.run(self._later, act)

    async def _later(self, act: Callable[[Any], Any]) -> Any:
        async with _AsyncTimed(self) as client:
            found = act(client)
            return [one async for one in found] if hasattr(found, "__aiter__") else await found

    def pause(self, sleep: Sleep) -> None:
        self.pauses.append(sleep)
        with self._plane_lock:
            self.plane.advance(sleep.seconds)

    def reply(self, request: httpx.Request) -> tuple[bytes, bool]:
        """The bytes to send back, and whether the connection may be used again."""
        with self._plane_lock:
            number = len(self.seen)
            self.seen.append(f"{request.method} {request.url.path}")
            meets = self.at(number)
            acts = not meets or self.fault.acts
            response = self.plane.transport.handler(request) if acts else None
        if not meets:
            assert isinstance(response, httpx.Response)
            head = f"HTTP/1.1 {response.status_code} Said\r\nContent-Length: {len(response.content)}\r\n\r\n"
            return head.encode() + response.content, True
        if self.fault.stalls:
            self.over.wait(LONG_S)
        return self.fault.sends or b"", False

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = dict(self.headers)
                data, goes_on = wire.reply(
                    httpx.Request(self.command, f"{wire.host}{self.path}", headers=headers, content=body)
                )
                self.wfile.write(data)
                self.close_connection = not goes_on

            do_GET = do_PUT = do_POST = do_DELETE = serve

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class _Timed(Client):
    """A client of a real wire whose pauses move the plane's clock."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire.host, TOKEN, timeout_s=wire.patience_s)
        self._wire = wire

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Sleep():
                return self._wire.pause(effect)
            case Now():
                return self._wire.plane.now
        return super()._perform(effect)


class _AsyncTimed(AsyncClient):
    def __init__(self, wire: Wire) -> None:
        super().__init__(wire.host, TOKEN, timeout_s=wire.patience_s)
        self._wire = wire

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Sleep():
                return self._wire.pause(effect)
            case Now():
                return self._wire.plane.now
        return await super()._perform(effect)
