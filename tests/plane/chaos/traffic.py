"""Steady traffic from a process of its own, which writes down what became of every single request.

Requests are sent when their time has come, whether or not earlier ones were answered, and their time
counts from then: a stall shows in all that it held up. Nothing is sent twice. What was a right answer is
for others to judge (``judge``): here is only written down who gave it.

    python -m tests.plane.chaos.traffic '{"host": ..., "port": ..., "token": ..., "out": ..., "rates": {...}}'

Each line on stdin, ``{"pins": ["srv_..."]}``, says which versions to ask by name from now on; its end ends all.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.plane.chaos.wire import Connection, Talk

__all__ = ["RATES", "Record", "Traffic"]

RATES = {"kept": 110.0, "fresh": 20.0, "pinned": 20.0, "post": 15.0, "stream": 10.0, "talk": 25.0}
PATIENCE_S = 30.0  # no answer by then is none
TALKS_AT_ONCE, TALK_S = 5, 8.0


@dataclass(frozen=True)
class Record:
    """A request, or a message on a websocket: when it was due, when it ended, what came.

    ``tag`` is what the code that answered calls itself, ``version`` what the router says it was.
    """

    kind: str
    due: float
    ended: float
    status: int = 0
    tag: str = ""
    version: str = ""
    pin: str = ""
    error: str = ""

    @property
    def took_ms(self) -> float:
        return (self.ended - self.due) * 1000


@dataclass
class Traffic:
    """The generator's process, seen from outside; as a context, it runs."""

    host: str
    port: int
    token: str
    out: Path
    rates: Mapping[str, float] = field(default_factory=lambda: dict(RATES))

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.plane.chaos.traffic", json.dumps(asdict(self), default=str)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[3])
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def pin(self, versions: Sequence[str]) -> None:
        """Ask these by name, and no others any more."""
        self._process.stdin.write(json.dumps({"pins": list(versions)}).encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Send nothing more, and wait for what is under way."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=2 * PATIENCE_S)
        finally:
            self._process.kill()

    def records(self) -> list[Record]:
        with self.out.open() as lines:
            return [Record(**json.loads(line)) for line in lines if line.endswith("\n")]


class Generator:
    def __init__(self, host: str, port: int, token: str, out: Any, rates: Mapping[str, float]) -> None:
        self._where = (host, port)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._out = out
        self._rates = rates
        self._idle: deque[Connection] = deque()
        self._pins: list[str] = []
        self._next_pin = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    async def run(self) -> None:
        senders: dict[str, Callable[[str, float], Coroutine[Any, Any, None]]] = {
            "kept": self._kept,
            "fresh": self._fresh,
            "pinned": self._pinned,
            "post": self._post,
            "stream": self._stream,
        }
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            for kind, send in senders.items():
                group.create_task(self._steadily(kind, self._rates.get(kind, 0.0), send))
            for number in range(TALKS_AT_ONCE):
                group.create_task(self._talk(number, self._rates.get("talk", 0.0) / TALKS_AT_ONCE))
        await asyncio.gather(*self._tasks)

    async def _listen(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := await reader.readline():
            self._pins = json.loads(line)["pins"]
        self._ending.set()

    async def _until(self, due: float) -> bool:
        """Wait for a moment; say whether that is to be lived through."""
        if (delay := due - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay)
        return not self._ending.is_set()

    async def _steadily(
        self, kind: str, rate: float, send: Callable[[str, float], Coroutine[Any, Any, None]]
    ) -> None:
        due = time.monotonic()
        while rate and await self._until(due):
            if kind != "pinned" or self._pins:
                task = asyncio.create_task(self._noted(kind, due, send))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            due += 1 / rate

    async def _noted(
        self, kind: str, due: float, send: Callable[[str, float], Coroutine[Any, Any, None]]
    ) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await send(kind, due)
        except Exception as error:  # noqa: BLE001  whatever it was, it is written down
            self._note(kind, due, error=f"{type(error).__name__}: {error}")

    def _note(self, kind: str, due: float, **more: Any) -> None:
        record = Record(kind, due, time.monotonic(), **more)
        self._out.write(json.dumps(asdict(record)) + "\n")

    def _answered(self, kind: str, due: float, status: int, headers: Mapping[str, str], **more: Any) -> None:
        self._note(kind, due, status=status, version=headers.get("x-anyservice-version", ""), **more)

    # ── one request of each kind ──

    async def _kept(self, kind: str, due: float) -> None:
        while self._idle and self._idle[0].reader.at_eof():
            self._idle.popleft().close()
        connection = self._idle.popleft() if self._idle else await Connection.open(*self._where)
        answer = await connection.ask("GET", "/", self._headers)
        self._answered(kind, due, answer.status, answer.headers, tag=answer.text)
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.close()

    async def _once(self, kind: str, due: float, pin: str = "") -> None:
        connection = await Connection.open(*self._where)
        headers = {**self._headers, **({"x-anyservice-version": pin} if pin else {})}
        answer = await connection.ask("GET", "/", headers, close=True)
        connection.close()
        self._answered(kind, due, answer.status, answer.headers, tag=answer.text, pin=pin)

    async def _fresh(self, kind: str, due: float) -> None:
        await self._once(kind, due)

    async def _pinned(self, kind: str, due: float) -> None:
        pin = self._pins[next(self._next_pin) % len(self._pins)]
        try:
            await self._once(kind, due, pin)
        except Exception as error:  # noqa: BLE001
            self._note(kind, due, pin=pin, error=f"{type(error).__name__}: {error}")

    async def _post(self, kind: str, due: float) -> None:
        connection = await Connection.open(*self._where)
        answer = await connection.ask("POST", "/upload", self._headers, b"x" * 20_000, close=True)
        connection.close()
        tag, size, _ = answer.text.split() if answer.status == 200 else (answer.text, "20000", "")
        wrong = "" if size == "20000" else f"{size} of 20000 bytes arrived"
        self._answered(kind, due, answer.status, answer.headers, tag=tag, error=wrong)

    async def _stream(self, kind: str, due: float) -> None:
        connection = await Connection.open(*self._where)
        answer = await connection.ask("GET", "/stream?n=5&every_ms=100", self._headers, close=True)
        connection.close()
        tags = answer.text.split() if answer.status == 200 else [answer.text]
        wrong = "" if answer.status != 200 or len(tags) == 5 else f"{len(tags)} of 5 pieces arrived"
        if len(set(tags)) > 1:
            wrong = f"pieces of {set(tags)}"
        self._answered(kind, due, answer.status, answer.headers, tag=tags[0] if tags else "", error=wrong)

    # ── websockets ──

    async def _talk(self, number: int, rate: float) -> None:
        due = time.monotonic() + number * TALK_S / TALKS_AT_ONCE / 4
        while rate and await self._until(due):
            try:
                due = await self._one_talk(due, rate)
            except Exception as error:  # noqa: BLE001
                self._note("talk", due, error=f"{type(error).__name__}: {error}")
                due = time.monotonic() + 1 / rate

    async def _one_talk(self, due: float, rate: float) -> float:
        """Open a websocket, say something now and then, close it; give the moment for the next one."""
        async with asyncio.timeout(PATIENCE_S):
            talk, opened = await Talk.open(*self._where, "/talk", self._headers)
        self._answered("open", due, opened.status, opened.headers)
        ends, tag, count = due + TALK_S, "", itertools.count()
        try:
            while due < ends and await self._until(due):
                word = str(next(count))
                async with asyncio.timeout(PATIENCE_S):
                    said, _, echo = (await talk.say(word)).rpartition(" ")
                wrong = "" if echo == word else f"{echo} came for {word}"
                if tag and said != tag:
                    wrong = f"{tag} became {said}"
                tag = said
                self._answered("talk", due, 200, opened.headers, tag=said, error=wrong)
                due += 1 / rate
        finally:
            await talk.close()
        return due


async def _main() -> None:
    given = json.loads(sys.argv[1])
    with open(given.pop("out"), "w", buffering=1) as out:  # noqa: ASYNC230, PTH123
        await Generator(**given, out=out).run()


if __name__ == "__main__":
    asyncio.run(_main())
