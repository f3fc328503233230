"""What the generators cost: one status call through the client against the same request by bare httpx.

Both speak to the same in-memory plane, in turn, so the ratio holds when the machine's speed drifts.
"""

from __future__ import annotations

import statistics
import time

import httpx

from anyservice_core import ServiceConfig
from anyservice_core.testing import HOST, TOKEN, FakePlane

ROUNDS, CALLS = 15, 100


def seconds_per_call(call) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


def main() -> None:
    with FakePlane() as plane, plane.client() as client:
        client.deploy(ServiceConfig(name="svc", applications=[{"import_path": "main:app"}]))
        client.wait("svc")
        with httpx.Client(base_url=HOST, transport=plane.transport, cookies={"cli_token": TOKEN}) as http:
            path = "/api/v2/services-v2/?name=svc&archive_status=NOT_ARCHIVED&count=50"
            pairs = [
                (
                    seconds_per_call(lambda: client.status("svc")),
                    seconds_per_call(lambda: http.get(path).json()),
                )
                for _ in range(ROUNDS)
            ]
    ours, bare = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"client.status {ours:.0f} µs   bare httpx {bare:.0f} µs   ratio {ratio:.2f} (median of {ROUNDS})")


if __name__ == "__main__":
    main()
