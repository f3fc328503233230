"""What HTTP can do reaches a version as it was sent, and comes back as it was answered: nothing is held back or bent."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.models.config import ServiceConfig
from tests.plane.chaos.app import write
from tests.plane.chaos.wire import Connection, Talk
from tests.plane.conftest import RealPlane, free_ports

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

ENGINES = ["process", pytest.param("ray", marks=pytest.mark.ray)]


@dataclass
class Served:
    """A service whose version answers with its name."""

    plane: RealPlane
    folder: Path
    port: int = 0
    token: str = ""

    def config(self, name: str) -> ServiceConfig:
        folder = write(self.folder / name, name, served=self.plane.engine == "ray")
        applications = [{"import_path": "main:app"}]
        return ServiceConfig(
            name="svc", version_name=name, working_dir=str(folder), applications=applications
        )

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def connect(self) -> Coroutine[Any, Any, Connection]:
        return Connection.open("127.0.0.1", self.port)

    def talk(self, path: str = "/") -> Coroutine[Any, Any, tuple[Talk, Any]]:
        return Talk.open("127.0.0.1", self.port, path, self.headers)

    def post(self, headers: dict[str, str]) -> bytes:
        """Give the head of an upload."""
        told = {"Host": "x", **self.headers, **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return f"POST /upload HTTP/1.1\r\n{lines}\r\n".encode()

    def replace(self, old: str, new: str) -> None:
        """Roll one version out in place of another, with a stop half way."""
        with self.plane.client() as client:
            client.deploy(self.config(new), canary_percent=50)
            goal = {"version": new, "timeout_s": 150, "poll_interval_s": 0.2}
            client.wait("svc", state="ROLLING_OUT", canary_weight=50, **goal)
            client.shift("svc", canary_percent=100)
            client.wait("svc", **goal)
        shutil.rmtree(self.folder / old)

    async def raw(self, text: str) -> tuple[str, str]:
        """Send bytes as they are, wait for the other side to close, and give head and body."""
        async with await self.connect() as connection:
            connection.writer.write(text.format(token=self.token).replace("\n", "\r\n").encode())
            head, _, body = (await connection.reader.read()).decode().partition("\r\n\r\n")
        return head.lower(), body


async def text_of(connection: Connection) -> str:
    answer = await connection.head()
    return b"".join([chunk async for chunk in connection.body(answer)]).decode()


@pytest.fixture(scope="module", params=ENGINES)
def served(request) -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="asv-"))
    plane = RealPlane(folder / "state", request.param, free_ports())
    plane.up()
    try:
        served = Served(plane, folder)
        with plane.client() as client:
            client.deploy(served.config("one"))
            status = client.wait("svc", timeout_s=150, poll_interval_s=0.2)
        served.port = int(status.query_url.rpartition(":")[2])
        served.token = status.query_auth_token
        yield served
    finally:
        plane.down()
        shutil.rmtree(folder)


@pytest.mark.parametrize("path", ["/stream", "/events"])
def test_a_stream_arrives_as_it_is_made(served, path):
    """The first piece is there long before the last one is made: nobody on the way waits for the end."""

    async def read() -> list[float]:
        async with await served.connect() as connection:
            answer = await connection.begin("GET", f"{path}?n=5&every_ms=300", served.headers)
            return [time.monotonic() async for _ in connection.body(answer)]

    moments = asyncio.run(read())
    assert len(moments) == 5
    assert moments[-1] - moments[0] > 0.9


def test_a_websocket_is_carried(served):
    """Texts go and come in order on one connection."""

    async def talk() -> list[str]:
        socket, opened = await served.talk()
        async with socket.connection:
            assert opened.headers["x-anyservice-version"].startswith("srv_")
            return [await socket.say(f"word {n}") for n in range(50)]

    assert asyncio.run(talk()) == [f"one word {n}" for n in range(50)]


@pytest.mark.parametrize("headers", [{"Content-Length": "33554432"}, {"Transfer-Encoding": "chunked"}])
def test_a_large_upload_arrives_whole(served, headers):
    """32 MiB, with their length told before or not; the answer names what arrived."""
    block, blocks = os.urandom(1 << 20), 32
    chunked = "Transfer-Encoding" in headers

    async def send() -> str:
        async with await served.connect() as connection:
            connection.writer.write(served.post(headers))
            for _ in range(blocks):
                connection.writer.write(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
                await connection.writer.drain()
            connection.writer.write(b"0\r\n\r\n" if chunked else b"")
            return await text_of(connection)

    assert asyncio.run(send()) == f"one {blocks << 20} {hashlib.sha256(block * blocks).hexdigest()}"


def test_a_slow_sender_is_waited_for(served):
    """A body that comes in drops is no reason to give up."""

    async def send() -> str:
        async with await served.connect() as connection:
            connection.writer.write(served.post({"Content-Length": "6"}))
            for drop in b"drops!":
                connection.writer.write(bytes([drop]))
                await asyncio.sleep(0.25)
            return await text_of(connection)

    assert asyncio.run(send()) == f"one 6 {hashlib.sha256(b'drops!').hexdigest()}"


def test_a_slow_reader_gets_all_of_it(served):
    """A client that takes its time holds up nobody, and loses nothing."""
    pieces = 400_000 if served.plane.engine == "process" else 20_000

    async def read() -> int:
        async with await served.connect() as slow, await served.connect() as quick:
            answer = await slow.begin("GET", f"/stream?n={pieces}&every_ms=0", served.headers)
            assert (await quick.ask("GET", "/", served.headers)).text == "one"
            await asyncio.sleep(1)
            return sum([len(chunk) async for chunk in slow.body(answer)])

    assert asyncio.run(read()) == pieces * len("one\n")


def test_one_connection_carries_many_requests(served):
    """Keep-alive holds over answers of all kinds."""

    async def ask() -> list[tuple[int, str]]:
        async with await served.connect() as connection:
            paths = ["/", "/stream?n=2&every_ms=0", "/", "/slow?ms=50", "/"]
            answers = [await connection.ask("GET", path, served.headers) for path in paths]
            answers.append(await connection.ask("POST", "/upload", served.headers, b"abc"))
            assert connection.usable
            return [(answer.status, answer.text.split()[0]) for answer in answers]

    assert asyncio.run(ask()) == [(200, "one")] * 6


def test_an_old_client_is_answered(served):
    """HTTP/1.0: no connection is kept, and its end is the end of the answer."""
    head, body = asyncio.run(served.raw("GET / HTTP/1.0\nAuthorization: Bearer {token}\n\n"))
    assert head.splitlines()[0].split()[1] == "200"
    assert "content-length: 3" in head
    assert body == "one"


def test_head_has_no_body(served):
    """HEAD gives the head of what GET would give."""
    head, body = asyncio.run(
        served.raw("HEAD / HTTP/1.1\nHost: x\nAuthorization: Bearer {token}\nConnection: close\n\n")
    )
    assert head.splitlines()[0].split()[1] == "200"
    assert "content-length: 3" in head
    assert body == ""


def test_who_asks_before_sending_is_answered(served):
    """Expect: 100-continue is passed on: the body is sent only after the word that it is welcome."""

    async def send() -> tuple[int, str]:
        async with await served.connect() as connection:
            connection.writer.write(served.post({"Content-Length": "3", "Expect": "100-continue"}))
            async with asyncio.timeout(10):
                welcome = await connection.head()
            connection.writer.write(b"abc")
            return welcome.status, (await text_of(connection)).split()[1]

    assert asyncio.run(send()) == (100, "3")


def test_a_websocket_outlives_the_weights(served):
    """Opened on a version that then gets less and leaves, it is answered by that one for as long as it drains."""

    async def talk() -> list[str]:
        (socket, _), said = await served.talk(), set()
        async with socket.connection:
            replacing = asyncio.create_task(asyncio.to_thread(served.replace, "one", "two"))
            while not replacing.done():
                said.add(await socket.say("still"))
                await asyncio.sleep(0.2)
            await replacing
            said.add(await socket.say("still"))
        (socket, _) = await served.talk()
        async with socket.connection:
            return [*said, await socket.say("anew")]

    try:
        assert asyncio.run(talk()) == ["one still", "two anew"]
    finally:
        served.replace("two", "one")  # as which the other tests know it
