"""``max_surge_percent`` on real clusters: replicas are counted as processes, by who watches from outside."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from anyservice_core.plane.engines.procfs import PROC, stats

pytestmark = [pytest.mark.real, pytest.mark.ray, pytest.mark.timeout(400)]

REPLICAS = 4
CODE = f"""
import asyncio
from pathlib import Path
from ray import serve

@serve.deployment(num_replicas={REPLICAS}, ray_actor_options={{"num_cpus": 0.1}})
class App:
    def __init__(self):
        self.version = Path("version.txt").read_text()

    async def __call__(self, request):
        await asyncio.sleep(0.02)
        return self.version

app = App.bind()
"""
REPLICA = re.compile(rb"ray::ServeReplica:")


class Census:
    """Counts the replicas below a state directory by host, again and again, and keeps what was counted together."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.counted: list[Counter[str]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            self.counted.append(self.count())

    def count(self) -> Counter[str]:
        hosts = {record["sid"]: name for name, record in self._hosts()}
        return Counter(
            hosts[stat.session] for stat in stats() if stat.session in hosts and _is_replica(stat.pid)
        )

    def _hosts(self):
        for path in self.state_dir.glob("hosts/*/host.json"):
            try:
                yield path.parent.name, json.loads(path.read_text())
            except (OSError, ValueError):
                continue

    def most(self) -> int:
        return max(one.total() for one in self.counted)

    def wait_for(self, host: str, replicas: int, *, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while (now := self.count())[host] != replicas:
            assert time.monotonic() < deadline, f"{host} has not {replicas}: {now}"
            time.sleep(0.1)


def _is_replica(pid: int) -> bool:
    try:
        return bool(REPLICA.match((PROC / str(pid) / "cmdline").read_bytes()))
    except OSError:
        return False


def test_a_rollout_takes_one_replica_more_at_most(make_plane, loading, tmp_path):
    """Four replicas, a surge of 25: out and back again never more than five at once, and no request fails."""
    plane = make_plane("ray")
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1", code=CODE))
        status = client.wait("svc", timeout_s=150, poll_interval_s=0.2)
        one = status.primary_version.id
        census = Census(plane.state_dir)
        assert census.count() == {one: REPLICAS}
        with census, loading(status.query_url, status.query_auth_token, rps=15.0) as load:
            load.wait_for("v1", 10)
            client.deploy(plane.config(tmp_path, "v2", code=CODE), canary_percent=50, max_surge_percent=25)
            held = {"state": "ROLLING_OUT", "version": "v2", "timeout_s": 200, "poll_interval_s": 0.2}
            two = client.wait("svc", canary_weight=50, **held).canary_version.id
            for host in (one, two):
                census.wait_for(host, REPLICAS // 2)
            client.rollback("svc", max_surge_percent=25)
            status = client.wait("svc", version="v1", timeout_s=150, poll_interval_s=0.2)
            assert census.count()[one] == REPLICAS
            client.deploy(plane.config(tmp_path, "v3", code=CODE), canary_percent=100, max_surge_percent=25)
            status = client.wait("svc", version="v3", timeout_s=200, poll_interval_s=0.2)
            load.wait_for("v3", 10)
        assert load.failures == []
        assert census.most() == REPLICAS + 1
        assert census.count()[status.primary_version.id] == REPLICAS
