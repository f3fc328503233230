"""10,000 services listed by both clients, whole processes.

The server answers from memory, so that it is the clients that are compared. The official one asks several times for each
service, so it gets ``BUDGET_S`` and is compared by services a second.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from side_by_side import measured, official_python

from anyservice_core.plane.routes import ApiReply, ApiRequest
from anyservice_core.plane.view import show
from tests.official.clients import official_environment
from tests.official.recording import RecordingServer
from tests.official.states import running
from tests.official.world import World

SERVICES = 10_000
BUDGET_S = 30
READ = """
import json, time
{start}
began, count = time.perf_counter(), 0
for service in services:
    count += 1
    if time.perf_counter() - began > {budget}:
        break
print(json.dumps([count, time.perf_counter() - began]))
"""
THEIRS = "import anyscale; services = anyscale.service.list()"
OURS = "from anyservice_core import Client; services = Client().list()"


class Crowd(World):
    """A world in which one service is there 10,000 times."""

    service: dict[str, Any]

    def answer(self, request: ApiRequest) -> ApiReply | None:
        if request.path.rstrip("/") != "/api/v2/services-v2":
            return super().answer(request)
        start, count = int(request.get("paging_token") or 0), int(request.get("count") or 10)
        end = min(start + count, SERVICES)
        page = [{**self.service, "id": f"service2_{number:026}"} for number in range(start, end)]
        token = str(end) if end < SERVICES else None
        return ApiReply(200, {"results": page, "metadata": {"total": SERVICES, "next_paging_token": token}})


def main() -> None:
    python = official_python()
    rates = {}
    with RecordingServer() as server, tempfile.TemporaryDirectory() as home:
        environment = official_environment(server.host, server.token, Path(home))
        for name, start in {"anyscale": THEIRS, "anyservice": OURS}.items():
            server.fresh(running)
            server.world = Crowd()
            server.world.service = show(server.plane.service("svc")).model_dump(mode="json")
            cost = measured([python, "-c", READ.format(start=start, budget=BUDGET_S)], environment)
            count, seconds = json.loads(cost.said)
            rates[name] = count / seconds
            print(
                f"{name:12}{count:7} services in {seconds:6.2f} s   {rates[name]:8.0f} a second   "
                f"{len(server.requests):6} requests   {cost.mib:6.1f} MiB"
            )
    print(f"{rates['anyservice'] / rates['anyscale']:.0f} times as many services a second")


if __name__ == "__main__":
    main()
