"""Rollouts judged by a real Prometheus that scrapes the plane, with real versions and real requests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from anyservice_core.errors import RolledBackError, RolloutPausedError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.rollout import Outcome

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

BINARY = Path(__file__).parents[2] / ".tools" / "servers" / "prometheus"
ENGINES = ["process", pytest.param("ray", marks=pytest.mark.ray)]

# An application that errs as it is told: by its own environment, and by a file that all versions look at.
ASGI = """
import itertools, os
from pathlib import Path
RATE, INCIDENT, count = float(os.environ["ERRORS"]), Path(os.environ["INCIDENT"]), itertools.count(1)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    rate = 0.3 if INCIDENT.exists() else RATE
    bad = rate and next(count) % round(1 / rate) == 0
    await send({"type": "http.response.start", "status": 500 if bad else 200, "headers": []})
    await send({"type": "http.response.body", "body": b"bad" if bad else b"ok"})
"""
SERVE = """
import itertools, os
from pathlib import Path
from ray import serve
from starlette.responses import PlainTextResponse

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class App:
    def __init__(self):
        self.rate, self.incident = float(os.environ["ERRORS"]), Path(os.environ["INCIDENT"])
        self.count = itertools.count(1)

    async def __call__(self, request):
        rate = 0.3 if self.incident.exists() else self.rate
        bad = rate and next(self.count) % round(1 / rate) == 0
        return PlainTextResponse("bad" if bad else "ok", status_code=500 if bad else 200)

app = App.bind()
"""
COUNTED = 'anyservice_requests_total{version_id="{{ version.id }}"'


@dataclass
class Prometheus:
    """The server, on a port of its own."""

    address: str
    process: subprocess.Popen[bytes]

    def seen(self, query: str) -> bool:
        """Whether it has samples for this already."""
        try:
            answer = httpx.get(f"{self.address}/api/v1/query", params={"query": query}, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and bool(answer.json()["data"]["result"])


@pytest.fixture
def scrape(tmp_path: Path) -> Iterator[Callable[[str, str], Prometheus]]:
    """Start a server that scrapes this plane each second."""
    if not BINARY.exists():
        pytest.skip("no Prometheus here: scripts/servers brings it")
    started: list[subprocess.Popen[bytes]] = []

    def start(host: str, token: str) -> Prometheus:
        secret = tmp_path / "token"
        secret.write_text(token)
        secret.chmod(0o600)
        config = tmp_path / "prometheus.yml"
        config.write_text(
            f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n"
            f"scrape_configs:\n"
            f"  - job_name: plane\n"
            f"    authorization: {{credentials_file: {secret}}}\n"
            f"    static_configs: [{{targets: ['{urlsplit(host).netloc}']}}]\n"
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            str(BINARY),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (tmp_path / "prometheus.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        started.append(process)
        return Prometheus(f"http://127.0.0.1:{port}", process)

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def plan(prometheus: Prometheus, **fields: Any) -> dict[str, Any]:
    """Two short steps, judged by what the store says."""
    metric = {
        "name": "errors",
        "interval": "2s",
        "provider": {
            "prometheus": {
                "address": prometheus.address,
                "errors": f'sum(increase({COUNTED},code="5xx"}}[{{{{ window }}}}]))',
                "requests": f"sum(increase({COUNTED}}}[{{{{ window }}}}]))",
                "lag_s": 1,
            }
        },
        "compare": {"max_rate": 0.03},
    }
    return {"steps": [25, 50], "bake": "30s", "progress_deadline": "3m", "metrics": [metric], **fields}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_real_store_tells_a_bad_canary_from_a_good_one_and_from_an_incident(
    make_plane: Any, loading: Any, tmp_path: Path, scrape: Any, engine: str
) -> None:
    """5 % errors are taken back, none are promoted, and errors on both sides pause where they are."""
    plane = make_plane(engine)
    prometheus = scrape(plane.record["host"], plane.record["token"])
    app, incident = tmp_path / "app", tmp_path / "incident"
    app.mkdir()
    (app / "main.py").write_text(SERVE if engine == "ray" else ASGI)

    def version(name: str, errors: float) -> ServiceConfig:
        return ServiceConfig(
            name="svc",
            version_name=name,
            working_dir=str(app),
            env_vars={"ERRORS": str(errors), "INCIDENT": str(incident)},
            applications=[{"import_path": "main:app"}],
        )

    with plane.client() as client:
        client.deploy(version("first", 0.0))
        status = client.wait("svc", timeout_s=150, poll_interval_s=0.2)
        with loading(status.query_url, status.query_auth_token, rps=80.0) as load:
            load.wait_for("ok", 50)
            until(lambda: prometheus.seen("anyservice_requests_total"))

            with pytest.raises(RolledBackError) as worse:
                client.rollout(version("worse", 0.05), plan(prometheus), poll_interval_s=0.5)
            assert "errors: " in worse.value.report["reason"]
            assert client.status("svc").primary_version.name == "first"

            report = client.rollout(version("good", 0.0), plan(prometheus), poll_interval_s=0.5)
            assert report.outcome is Outcome.SUCCEEDED
            assert report.requests > 500

            incident.touch()
            with pytest.raises(RolloutPausedError) as both:
                client.rollout(version("innocent", 0.0), plan(prometheus), poll_interval_s=0.5)
            assert both.value.report["pause"] == "common-mode"
            assert client.status("svc").canary_version.weight == 25
        assert [failure for failure in load.failures if not failure.startswith("500")] == []


def until(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for a condition of the outside world."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
