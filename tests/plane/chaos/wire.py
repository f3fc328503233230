"""A client that hides nothing: HTTP/1.1 and websockets on asyncio's streams, without a retry or a pool of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Answer", "Connection", "Talk", "WireError"]


class WireError(Exception):
    """What came is no answer, or not a whole one."""


@dataclass
class Answer:
    """``chunks`` holds the body as it came, piece by piece."""

    status: int
    headers: Mapping[str, str]
    chunks: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        return b"".join(self.chunks).decode()


@dataclass
class Connection:
    """One connection, kept alive for as long as the other side agrees."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    usable: bool = True

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        return cls(*await asyncio.open_connection(host, port))

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, close: bool = False
    ) -> Answer:
        """Send a request and read its answer to the end. Whatever goes wrong is raised."""
        answer = await self.begin(method, path, headers, body, close=close)
        answer.chunks.extend([chunk async for chunk in self.body(answer)])
        return answer

    async def begin(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"", *, close: bool = False
    ) -> Answer:
        """Send a request and read the head of its answer."""
        self.usable = False  # until the answer was read to its end
        sent = {"Host": "chaos", **headers}
        if body:
            sent["Content-Length"] = str(len(body))
        if close:
            sent["Connection"] = "close"
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        await self.writer.drain()
        return await self.head()

    async def head(self) -> Answer:
        """Read the head of an answer, be it to a request that was sent by hand."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError as error:
            raise WireError(f"closed after {len(error.partial)} bytes of a head") from None
        first, *lines = head.strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return Answer(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs})

    async def body(self, answer: Answer) -> AsyncIterator[bytes]:
        """Give the body's pieces as they come; the connection is usable again after the last."""
        try:
            if "content-length" in answer.headers:
                yield await self.reader.readexactly(int(answer.headers["content-length"]))
            elif answer.headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readline() or b"x", 16):
                    yield (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readline()
            else:
                raise WireError("a body without an end")
        except (asyncio.IncompleteReadError, ValueError) as error:
            raise WireError(f"broke off in its body: {error!r}") from None
        self.usable = answer.headers.get("connection", "").lower() != "close"

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.writer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(Exception):
            await self.writer.wait_closed()


class Talk:
    """A websocket."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, host: str, port: int, path: str, headers: Mapping[str, str]) -> tuple[Talk, Answer]:
        connection = await Connection.open(host, port)
        wanted = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        answer = await connection.begin("GET", path, {**headers, **wanted})
        if answer.status != 101:
            raise WireError(f"no websocket: {answer.status}")
        return cls(connection), answer

    async def say(self, text: str) -> str:
        """Send a text and give the answer to it."""
        self._send(0x1, text.encode())
        await self.connection.writer.drain()
        return await self.hear()

    async def hear(self) -> str:
        """Give the next text; a ``WireError`` names the code with which the other side closed."""
        reader = self.connection.reader
        try:
            while True:
                first, second = await reader.readexactly(2)
                size = second & 0x7F
                if size == 126:
                    size = struct.unpack("!H", await reader.readexactly(2))[0]
                data = await reader.readexactly(size)
                if first & 0xF == 0x8:
                    raise WireError(f"closed with {struct.unpack('!H', data[:2])[0] if data else 1005}")
                if first & 0xF == 0x9:
                    self._send(0xA, data)
                elif first & 0xF == 0x1:
                    return data.decode()
        except asyncio.IncompleteReadError:
            raise WireError("closed without a word") from None

    def _send(self, kind: int, data: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self.connection.writer.write(bytes([0x80 | kind, 0x80 | len(data)]) + mask + masked)

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            self._send(0x8, struct.pack("!H", 1000))
            await self.connection.writer.drain()
        self.connection.close()
