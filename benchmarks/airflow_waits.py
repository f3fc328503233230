"""A thousand rollouts that wait in one triggerer: memory of each, how late its event loop gets, requests a second.

The triggers are ours as Airflow would run them, on one loop; the plane's API is behind HTTP in a process of its own. Beside it,
what the same waits cost as tasks that hold a worker: a process each, whose memory is measured with one.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MANY, SERVICES, SECONDS, POLL_S = int(os.environ.get("MANY", "1000")), 20, 30.0, 5.0
PLAN = {"steps": [{"weight": 10, "bake": "2h"}]}
CONN = "anyservice_default"
BLOCKING = """
import resource, airflow.sdk
from airflow_provider.hooks import ServiceHook
from anyservice_core import Client
import anyservice_core.operations.rollout
print(int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize())
"""


def serve(pipe: Any) -> None:
    """A plane with canaries at 10 %, over HTTP, its clock going on by itself."""
    import uvicorn

    from anyservice_core import ServiceConfig
    from anyservice_core.plane.app import application
    from anyservice_core.testing import FakePlane

    with FakePlane() as plane:
        relays = []
        with plane.client() as client:
            for number in range(SERVICES):
                config = ServiceConfig(name=f"svc-{number}", applications=[{"import_path": "main:app"}])
                client.deploy(config)
                client.wait(config.name)
                begun = client.begin_rollout(config.options(tags={"version": "2"}), PLAN)
                client.wait(config.name, version=begun.journal.version_name, canary_weight=10)
                relays.append(begun.to_dict())

        async def main() -> None:
            server = uvicorn.Server(
                uvicorn.Config(application(plane.api), port=0, log_level="error", lifespan="off")
            )
            serving = asyncio.ensure_future(server.serve())
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            pipe.send((f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", relays))
            while not pipe.poll():
                plane.now += 1.0
                await asyncio.sleep(1.0)
            pipe.recv()
            pipe.send(server.server_state.total_requests)
            server.should_exit = True
            await serving

        asyncio.run(main())


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def hold(relays: list[dict[str, Any]]) -> tuple[float, list[float], float]:
    from airflow_provider.triggers import RolloutTrigger

    def trigger(number: int) -> Any:
        relay = relays[number % SERVICES]
        made = RolloutTrigger(conn_id=CONN, poll_interval_s=POLL_S, relay=relay, plan=PLAN)
        _, arguments = made.serialize()
        return RolloutTrigger(**json.loads(json.dumps(arguments)))

    async def run(number: int) -> None:
        await asyncio.sleep(number / MANY * POLL_S)
        async for event in trigger(number).run():
            raise AssertionError(event)

    first = asyncio.ensure_future(run(0))
    await asyncio.sleep(2 * POLL_S)  # what one loads, all have
    before = rss()
    tasks = [first, *(asyncio.ensure_future(run(number)) for number in range(1, MANY))]
    await asyncio.sleep(3 * POLL_S)
    late, busy, end = [], time.process_time(), time.monotonic() + SECONDS
    while time.monotonic() < end:
        start = time.monotonic()
        await asyncio.sleep(0.02)
        late.append(time.monotonic() - start - 0.02)
    busy = (time.process_time() - busy) / SECONDS
    each = (rss() - before) / (MANY - 1)
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return each, late, busy


def main() -> None:
    from anyservice_core.testing import TOKEN

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,))
    server.start()
    host, relays = ours.recv()
    with tempfile.TemporaryDirectory(prefix="airflow-") as home:
        os.environ.update(
            AIRFLOW_HOME=home,
            AIRFLOW__CORE__UNIT_TEST_MODE="True",
            AIRFLOW_CONN_ANYSERVICE_DEFAULT=json.dumps(
                {"conn_type": "anyservice", "host": host, "password": TOKEN}
            ),
            **{f"AIRFLOW_VAR_ANYSERVICE_ORDERS__ANYSERVICE_DEFAULT__SVC-{n}": "[]" for n in range(SERVICES)},
        )
        each, late, busy = asyncio.run(hold(relays))
        ours.send("over")
        requests = ours.recv()
        server.join()
        done = subprocess.run([sys.executable, "-c", BLOCKING], capture_output=True, text=True, check=True)
    late.sort()
    print(f"{MANY} rollouts wait on one event loop, each looking every {POLL_S:g} s")
    print(f"memory of each          {each / 1024:8.0f} KiB")
    print(
        f"the loop is late        {statistics.median(late) * 1e3:8.1f} ms, 99th percentile {late[int(len(late) * 0.99)] * 1e3:.1f} ms"
    )
    print(f"processor               {busy * 100:8.0f} % of one")
    print(f"requests                {requests:8d} in all, {MANY / POLL_S:.0f} a second when all look")
    print(
        f"a worker for each       {int(done.stdout.split()[-1]) / 2**20:8.0f} MiB, {int(done.stdout.split()[-1]) / each:.0f} times as much"
    )


if __name__ == "__main__":
    main()
