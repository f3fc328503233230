"""A thousand rollouts at once in one process: what one costs in processor time and memory.

The planes live in a process of their own, so that what is measured is the client's alone. All rollouts share one clock,
which leaps when all of them sleep; nobody waits. ``AsyncClient`` holds a thousand on one event loop, ``Client`` some in a
thread each, both in processes of their own, in turn. Requests go through httpx, and through a pipe in place of a socket.

A look every 2 seconds, the requests of both versions counted every 10, two steps of 20 seconds, the promotion.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import httpx

from anyservice_core import AsyncClient, Client, ServiceConfig, testing
from anyservice_core.effects import Effect, Now, Sleep
from anyservice_core.rollout import Outcome, RolloutPlan, RolloutReport
from anyservice_core.testing import HOST, TOKEN, FakePlane

MANY, SOME = 1_000, 50
TOGETHER = 25  # services a plane; there are as many planes as that takes
RPS = 200.0  # of each service
BAKE_S, POLL_S, TICK_S = 20.0, 2.0, 2.0
PLAN = RolloutPlan.parse(
    {"steps": [10, 50], "bake": BAKE_S, "metrics": [{"name": "errors", "provider": "router"}]}
)


def config(number: int, version: int) -> ServiceConfig:
    return ServiceConfig(name=f"svc-{number:04}", applications=[{"import_path": f"main:v{version}"}])


# ── the planes ──────────────────────────────────────────────────────────────


class Planes:
    """Some planes behind one address. ``svc-0123`` lives on the plane that its number says."""

    def __init__(self, services: int) -> None:
        testing.TICK_S = TICK_S  # as often as they are looked at
        self.planes = [FakePlane() for _ in range(0, services, TOGETHER)]
        self.seats: dict[str, FakePlane] = {}
        for number in range(services):
            plane = self.planes[number // TOGETHER]
            with plane.client() as client:
                self.seats[client.deploy(config(number, 1))] = plane
            self.seats[config(number, 1).name] = plane
        for plane in self.planes:
            plane.router.error_rate = lambda _: 0.0  # the usual one reads all services for each
            plane.send_traffic(RPS)
        self.advance(20.0)

    def advance(self, seconds: float) -> float:
        for plane in self.planes:
            plane.advance(seconds)
        return self.planes[0].now

    def answer(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        request = httpx.Request(method, url, headers=headers, content=body)
        response = self.find(request.url, body).transport.handle_request(request)
        return response.status_code, response.read()

    def find(self, url: httpx.URL, body: bytes) -> FakePlane:
        words = [*url.path.split("/"), *url.params.values()]
        named = next((word for word in words if word in self.seats), None)
        if named is None and body:
            named = next((name for name in self.seats if f'"{name}"'.encode() in body), None)
        return self.seats[named] if named else self.planes[0]

    def close(self) -> None:
        for plane in self.planes:
            plane.close()

    def serve(self, pipe: Connection) -> None:
        """Answer until the other side hangs up."""
        try:
            while True:
                call, arguments = pipe.recv()
                pipe.send(getattr(self, call)(*arguments))
        except EOFError:
            return


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The way to the planes, for both colours; one request at a time."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.lock, self.requests = pipe, threading.Lock(), 0

    def call(self, name: str, *arguments: Any) -> Any:
        with self.lock:
            self.pipe.send((name, arguments))
            return self.pipe.recv()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        asked = (request.method, str(request.url), list(request.headers.items()), request.read())
        status, body = self.call("answer", *asked)
        return httpx.Response(status, content=body, headers={"Content-Type": "application/json"})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


# ── one clock for all ───────────────────────────────────────────────────────


class Clock:
    """Wakes who sleeps, in order, once nobody is awake. ``awake`` counts those who have work to do."""

    def __init__(self, wire: Wire, awake: int) -> None:
        self.wire, self.awake, self.now, self.most = wire, awake, wire.call("advance", 0.0), resident()
        self.order, self.sleepers = itertools.count(), []
        self.lock = threading.Lock()

    def sleep(self, seconds: float, wake: Callable[[], Any]) -> None:
        with self.lock:
            heapq.heappush(self.sleepers, (self.now + seconds, next(self.order), wake))
        self.rest()

    def rest(self) -> None:
        """One less is awake; the last one moves the clock."""
        with self.lock:
            self.awake -= 1
            if self.awake or not self.sleepers:
                return
            self.most = max(self.most, resident())
            self.now = self.wire.call("advance", self.sleepers[0][0] - self.now)
            while self.sleepers and self.sleepers[0][0] <= self.now + 1e-6:
                self.awake += 1
                heapq.heappop(self.sleepers)[2]()


class ThreadClient(Client):
    clock: Clock

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Sleep(seconds):
                woken = threading.Event()
                self.clock.sleep(seconds, woken.set)
                return woken.wait()
            case Now():
                return self.clock.now
            case _:
                return super()._perform(effect)


class LoopClient(AsyncClient):
    clock: Clock

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Sleep(seconds):
                woken = asyncio.get_running_loop().create_future()
                self.clock.sleep(seconds, functools.partial(woken.set_result, None))
                return await woken
            case Now():
                return self.clock.now
            case _:
                return await super()._perform(effect)


# ── the process that is measured ────────────────────────────────────────────


@dataclass(frozen=True)
class Cost:
    """Of so many rollouts: processor and wall seconds, requests, looks of each, and MiB that were added."""

    rollouts: int
    cpu_s: float
    wall_s: float
    requests: int
    virtual_s: float
    mib: float

    def __str__(self) -> str:
        each, kib = self.cpu_s / self.rollouts, self.mib * 1024 / self.rollouts
        return (
            f"{self.cpu_s:6.1f} s CPU, {each * 1000:5.1f} ms a rollout, {kib:6.1f} KiB a rollout, "
            f"{self.requests:7,} requests, {self.requests / self.cpu_s:6,.0f} a second of CPU, {self.wall_s:5.1f} s in all"
        )


def resident() -> float:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def in_threads(wire: Wire, clock: Clock, numbers: range) -> list[RolloutReport]:
    client = ThreadClient(HOST, TOKEN, transport=wire)
    client.clock = clock
    reports: list[RolloutReport] = []

    def one(number: int) -> None:
        try:
            reports.append(client.rollout(config(number, 2), PLAN, poll_interval_s=POLL_S))
        finally:
            clock.rest()

    threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


async def on_a_loop(wire: Wire, clock: Clock, numbers: range) -> list[RolloutReport]:
    client = LoopClient(HOST, TOKEN, transport=wire)
    client.clock = clock

    async def one(number: int) -> RolloutReport:
        try:
            return await client.rollout(config(number, 2), PLAN, poll_interval_s=POLL_S)
        finally:
            clock.rest()

    return await asyncio.gather(*(one(number) for number in numbers))


def hold(wire: Wire, numbers: range, *, threads: bool) -> Clock:
    clock = Clock(wire, len(numbers))
    reports = in_threads(wire, clock, numbers) if threads else asyncio.run(on_a_loop(wire, clock, numbers))
    assert [report.outcome for report in reports] == [Outcome.SUCCEEDED] * len(numbers), reports
    return clock


def worker(pipe: Connection, result: Connection, rollouts: int, *, threads: bool) -> None:
    """Hold one rollout for what is loaded late, then as many as asked, and tell what those cost."""
    wire = Wire(pipe)
    hold(wire, range(1), threads=threads)
    wire.requests = 0
    before, cpu, wall = resident(), time.process_time(), time.perf_counter()
    start = wire.call("advance", 0.0)
    clock = hold(wire, range(1, rollouts + 1), threads=threads)
    spent, took = time.process_time() - cpu, time.perf_counter() - wall
    result.send(Cost(rollouts, spent, took, wire.requests, clock.now - start, clock.most - before))


def measure(rollouts: int, *, threads: bool) -> Cost:
    spawn = multiprocessing.get_context("spawn")
    near, far = spawn.Pipe()
    told, tell = spawn.Pipe(duplex=False)
    planes = Planes(rollouts + 1)
    process = spawn.Process(target=worker, args=(far, tell, rollouts), kwargs={"threads": threads})
    process.start()
    far.close()
    tell.close()  # the ends of the other process: when it dies, ours shall notice
    planes.serve(near)
    process.join()
    planes.close()
    return told.recv() if told.poll() else sys.exit("the rollouts did not come to their end")


def main() -> None:
    arguments = iter(sys.argv[1:])
    many, some = (int(next(arguments, default)) for default in (MANY, SOME))
    once = measure(many, threads=False)
    print(f"AsyncClient, {many:5,} on one loop:        {once}", flush=True)
    each = measure(some, threads=True)
    print(f"Client,      {some:5,} in a thread each:   {each}")
    cpu = (each.cpu_s / each.rollouts) / (once.cpu_s / once.rollouts)
    memory = (each.mib / each.rollouts) / (once.mib / once.rollouts)
    print(f"a rollout in a thread costs {cpu:.2f} times the CPU and {memory:.1f} times the memory")
    share = once.cpu_s / once.virtual_s
    print(
        f"the {many:,} take {once.virtual_s:.0f} s of real time: {share:.0%} of one core, "
        f"{once.requests / once.virtual_s:.0f} requests a second"
    )


if __name__ == "__main__":
    main()
