"""The router against asking a version directly: requests a second and latency, in turns of a tenth of a second.

Both lead to the same process: a Serve application on a Ray cluster of its own (`ray`), or a bare ASGI application
(`process`), which answers so fast that what the router itself costs is all there is to see.

    python benchmarks/router.py [engine ...]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing

from side_by_side.plane import config, deploy, plane

from anyservice_core.plane.store import Store

AT_ONCE, TURN_S, TURNS = (1, 8), 0.1, 120
GOAL_RATE, GOAL_MS = 0.95, 0.2


async def one(address: tuple[str, int], request: bytes, end: float, took: list[float]) -> None:
    """Send requests on one connection until ``end``, one after the other."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        while time.perf_counter() < end:
            start = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            await body(reader, head.lower())
            took.append((time.perf_counter() - start) * 1000)
    finally:
        writer.close()


async def body(reader: asyncio.StreamReader, head: bytes) -> None:
    """Read a body to its end, by its length or in chunks, as Serve's proxy sends it."""
    if b"transfer-encoding: chunked" in head:
        await reader.readuntil(b"0\r\n\r\n")
        return
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))


async def turn(address: tuple[str, int], request: bytes, at_once: int) -> tuple[float, list[float]]:
    """Give how long a turn took, since its last requests end after it, and how long each request did."""
    took: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(one(address, request, start + TURN_S, took) for _ in range(at_once)))
    return time.perf_counter() - start, took


def request_to(address: tuple[str, int], token: str) -> bytes:
    lines = ("GET / HTTP/1.1", f"Host: {address[0]}:{address[1]}", f"Authorization: Bearer {token}", "", "")
    return "\r\n".join(lines).encode()


def compare(ways: dict[str, tuple[str, int]], token: str, at_once: int) -> dict[str, list[float]]:
    """Give rate, median, p95 and p99 of each way."""
    lasted = dict.fromkeys(ways, 0.0)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(TURNS):
        for way in list(ways) if number % 2 else reversed(list(ways)):
            seconds, took = asyncio.run(turn(ways[way], request_to(ways[way], token), at_once))
            lasted[way] += seconds
            times[way].extend(took)
    return {way: [len(times[way]) / lasted[way], *percentiles(times[way])] for way in ways}


def percentiles(took: Sequence[float]) -> list[float]:
    cuts = statistics.quantiles(took, n=100)
    return [cuts[49], cuts[94], cuts[98]]


def run(engine: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    with plane(engine) as (record, state):
        status = deploy(record, config(state.parent, engine))
        with closing(Store(state / "plane.db")) as store:
            (service,) = store.services()
        address = service.primary.address
        assert address is not None
        ways = {"direct": address, "router": ("127.0.0.1", service.port)}
        for way in ways.values():  # what is only done once is not what is compared
            asyncio.run(turn(way, request_to(way, status.query_auth_token), 8))
        for at_once in AT_ONCE:
            found = compare(ways, status.query_auth_token, at_once)
            for way, (rate, *cuts) in found.items():
                shown = "  ".join(f"{cut:8.2f}" for cut in cuts)
                print(f"{engine:8} {at_once} at once  {way:7} {rate:9.0f} {shown}")
            figures[f"{engine}, {at_once} at once: rate"] = round(found["router"][0] / found["direct"][0], 3)
            figures[f"{engine}, {at_once} at once: ms more"] = round(
                found["router"][1] - found["direct"][1], 3
            )
    return figures


def main() -> None:
    print(f"{'':18}  {'':7}  {'a second':>8}  {'p50 ms':>8}  {'p95 ms':>8}  {'p99 ms':>8}")
    figures = {
        key: value for engine in sys.argv[1:] or ("process", "ray") for key, value in run(engine).items()
    }
    print(f"goals: rate {GOAL_RATE} with 8 at once, {GOAL_MS} ms more at the median of one, before Serve")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
