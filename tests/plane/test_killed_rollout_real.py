"""A rollout in a shell that is killed again and again, on a real plane with real requests."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

KILLS, SEED = 10, 20
CLI = [sys.executable, "-c", "from anyservice_core.cli import main; main()"]


@dataclass
class Passage:
    """A way to the plane that writes down every request that changes something."""

    host: str
    writes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@contextmanager
def passage(plane_host: str) -> Iterator[Passage]:
    """Open it on a port of its own."""
    http = httpx.Client(base_url=plane_host, trust_env=False, timeout=30)

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.command != "GET":
                known.writes.append((f"{self.command} {self.path}", json.loads(body or b"{}")))
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = http.request(self.command, self.path, content=body, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers.get("content-type", "application/json"))
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_PUT = do_POST = do_DELETE = forward

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Passage(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        http.close()
        thread.join(10)


def test_killed_ten_times_it_ends_as_if_nothing_had_happened(
    make_plane: Any, loading: Any, tmp_path: Path
) -> None:
    """kill -9 at random moments: one deploy and one move to each weight in all, and no request that failed."""
    plane = make_plane("process")
    moments = random.Random(SEED)
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1"))
        status = client.wait("svc", poll_interval_s=0.2)
    config = plane.config(tmp_path, "v2").to_dict()
    (tmp_path / "service.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({"steps": [20, 50], "bake": "8s"}))
    with passage(plane.record["host"]) as way, loading(status.query_url, status.query_auth_token) as load:
        environment = {
            **os.environ,
            "ANYSERVICE_HOST": way.host,
            "ANYSERVICE_CLI_TOKEN": plane.record["token"],
            "ANYSERVICE_STATE_DIR": str(tmp_path / "own"),
        }
        command = [
            *CLI,
            *["rollout", "run", "-f", "service.yaml", "-p", "plan.yaml"],
            *["--poll-interval", "0.5s", "-o", "json"],
        ]
        for _ in range(KILLS):
            run = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
            try:
                run.wait(moments.uniform(0.5, 4.0))
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.wait(30)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    applied = [body["canary_percent"] for what, body in way.writes if what.endswith("/services-v2/apply")]
    assert applied == [20, 50, 100]
    assert len({body["version"] for what, body in way.writes if what.endswith("/services-v2/apply")}) == 1
    assert load.failures == []
    with plane.client() as client:
        assert client.status("svc").primary_version.name.startswith("v2-")
