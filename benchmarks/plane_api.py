"""The plane's API with 1,000 services stored against the same with one: over HTTP, from a store on disk.

Both are asked in turn by one client on one connection, so the ratio holds when the machine's speed drifts.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import uvicorn

from anyservice_core.models.enums import ServiceState
from anyservice_core.plane import catalog
from anyservice_core.plane.api import Api
from anyservice_core.plane.app import application
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.loop import Loop
from anyservice_core.plane.reconcile import Options
from anyservice_core.plane.store import Store
from anyservice_core.testing import TOKEN, FakeEngine, FakeRouter

MANY, ROUNDS, CALLS = 1_000, 10, 20
BODY = {"build_id": catalog.BUILD.id, "compute_config_id": catalog.COMPUTE.id, "config": {}}
APPLY = "/api/v2/services-v2/apply"


def served(code: str) -> dict:
    return {"ray_serve_config": {"applications": [{"import_path": code}]}}


class Plane:
    """An API over HTTP with so many services, of which one runs and the others have ended."""

    def __init__(self, folder: Path, count: int) -> None:
        self.store, bundles = Store(folder / "plane.db"), Bundles(folder, key=TOKEN)
        self.api = Api(self.store, bundles, TOKEN, time.time, "fake", lambda taken: 8700 + len(taken))
        self.loop = Loop(
            self.store,
            bundles,
            engines={"fake": FakeEngine(time.time, 0.0)},
            router=FakeRouter(time.time),
            clock=time.time,
            options=Options(),
        )
        self.count = count

    def fill(self, http: httpx.Client) -> None:
        """Deploy one service for real, and give it ``count - 1`` companions that have ended."""
        answer = http.put(APPLY, json={**BODY, **served("main:app"), "name": "svc-0", "version": "v1"})
        self.id = answer.raise_for_status().json()["result"]["id"]
        for _ in range(3):
            self.loop.tick()
        one = self.store.service(self.id)
        with self.store.transaction():
            for number in range(1, self.count):
                twin = {"id": f"service2_{number:026}", "name": f"svc-{number}", "port": 8700 + number}
                self.store.save(one.replace(**twin, state=ServiceState.TERMINATED))


@contextlib.contextmanager
def serving(count: int) -> Iterator[tuple[Plane, httpx.Client]]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        plane = Plane(Path(folder), count)
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(application(plane.api), log_level="error", lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(
            base_url=address, cookies={"cli_token": TOKEN}, trust_env=False, timeout=30
        ) as http:
            plane.fill(http)
            yield plane, http
        server.should_exit = True
        thread.join()
        plane.store.close()


def calls(plane: Plane, http: httpx.Client) -> dict[str, Callable[[], object]]:
    percents = itertools.cycle((10, 20, 30))
    path = "/api/v2/services-v2/"

    def shift() -> None:
        asked = {**BODY, **served("main:two"), "name": "svc-0", "version": "v2"}
        http.put(APPLY, json={**asked, "canary_percent": next(percents)}).raise_for_status()

    return {
        "status by name": lambda: http.get(path, params={"name": "svc-0", "count": 50}).raise_for_status(),
        "status by id": lambda: http.get(path + plane.id).raise_for_status(),
        "list, 10 a page": lambda: http.get(path, params={"count": 10}).raise_for_status(),
        "deploy": shift,
        "tick of the loop": plane.loop.tick,
    }


def timed(call: Callable[[], object]) -> list[float]:
    took = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        took.append((time.perf_counter() - start) * 1000)
    return took


def main() -> None:
    with serving(1) as one, serving(MANY) as many:
        figures = {}
        for name in calls(*one):
            columns: tuple[list[float], list[float]] = ([], [])
            pair = [calls(*plane)[name] for plane in (one, many)]
            for _ in range(ROUNDS):
                for column, call in zip(columns, pair, strict=True):
                    column.extend(timed(call))
            medians = [statistics.median(column) for column in columns]
            p99 = statistics.quantiles(columns[1], n=100)[98]
            figures[name] = [*medians, p99, 1000 / statistics.mean(columns[1]), medians[1] / medians[0]]
    print(f"{'median of ' + str(ROUNDS * CALLS):20}  1 service  {MANY:,} services     p99   a second   ratio")
    for name, (alone, crowded, p99, rate, ratio) in figures.items():
        print(f"{name:20} {alone:7.2f} ms {crowded:13.2f} ms {p99:6.1f} ms {rate:8.0f} {ratio:8.2f}")
    print(json.dumps({name: round(figure[-1], 2) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
