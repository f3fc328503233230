"""A whole Airflow and a whole plane for end-to-end tests: started, spoken to over REST, and stopped by their own ids."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

__all__ = ["APP", "Standalone", "free_port"]

APP = """
import os
NAME, TURNS_BAD = {name!r}, {turns_bad!r}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({{"type": "lifespan.startup.complete"}})
        return await send({{"type": "lifespan.shutdown.complete"}})
    await send({{"type": "http.response.start", "status": 500 if os.path.exists(TURNS_BAD) else 200, "headers": []}})
    await send({{"type": "http.response.body", "body": NAME.encode()}})
"""
DAGS = """
import os
import signal
from datetime import datetime, timedelta, UTC
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference
from airflow_provider.assets import service_asset
from airflow_provider.group import progressive_deploy_group
from airflow_provider.notifier import RollbackNotifier
from airflow_provider.operators import RolloutOperator

START = datetime(2026, 1, 1, tzinfo=UTC)
PARAMS = {"config": "", "plan": ""}
PROBE = {"name": "answers", "provider": {"probe": {"requests": 3}}, "interval": "1s"}

class HeldOperator(RolloutOperator):
    "In its first try it stands still at a moment, for somebody to kill it just there."
    template_fields = (*RolloutOperator.template_fields, "moment")

    def __init__(self, *, moment, **kwargs):
        super().__init__(**kwargs)
        self.moment = moment

    def ears(self, context, *rest):
        self.first = context["ti"].try_number == 1
        ears = super().ears(context, *rest)
        def save(key, journal):
            if journal.started:
                self.hold("before the first save")
            ears["on_save"](key, journal)
            if journal.weight == 50:
                self.hold("at 50 %")
        return {**ears, "on_save": save}

    def defer(self, **kwargs):
        self.hold("before the deferral")
        super().defer(**kwargs)

    def hold(self, moment):
        if self.first and moment == self.moment:
            os.kill(os.getpid(), signal.SIGSTOP)

for word in ("deferred", "blocking"):
    with DAG("held_" + word, schedule=None, start_date=START, params={**PARAMS, "moment": ""}, max_active_runs=9):
        HeldOperator(
            task_id="rollout", config="{{ params.config }}", plan="{{ params.plan }}", moment="{{ params.moment }}",
            poll_interval_s=1, deferrable=word == "deferred", retries=2, retry_delay=timedelta(seconds=1),
        )
for word in ("leave", "rollback"):
    with DAG("roll_" + word, schedule=None, start_date=START, params=PARAMS, max_active_runs=9):
        RolloutOperator(
            task_id="rollout", config="{{ params.config }}", plan="{{ params.plan }}", on_kill=word,
            poll_interval_s=1, deferrable=True, retries=2, retry_delay=timedelta(seconds=1),
            outlets=[service_asset("any")],
        )
for word in ("no", "yes", "bad"):
    with DAG("steps_" + word, schedule=None, start_date=START, params=PARAMS):
        progressive_deploy_group(
            "{{ params.config }}",
            {"steps": [10, 50], "bake": "2s", "promotion": {"timeout": "10m"}, "metrics": [PROBE]},
            service="grouped-" + word, poll_interval_s=1, deferrable=True,
        )
with DAG(
    "late", schedule=None, start_date=START, params=PARAMS,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(seconds=45),
        callback=AsyncCallback(RollbackNotifier, kwargs={"service": "late"}),
    ),
):
    RolloutOperator(
        task_id="rollout", config="{{ params.config }}", plan="{{ params.plan }}", poll_interval_s=1, deferrable=True
    )
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Standalone:
    """Airflow in ``folder``, beside a plane whose state is there too."""

    folder: Path
    port: int = field(default_factory=free_port)
    log_ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    process: subprocess.Popen[bytes] | None = None
    token: str = field(default="", repr=False)
    parts: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    @property
    def state(self) -> Path:
        return self.folder / "plane"

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment of all processes: none of the unit tests' own Airflow is in it."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))
        }
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
            "PATH": os.pathsep.join(
                [str(self.folder / "bin"), str(Path(sys.executable).parent), kept.get("PATH", "")]
            ),
            "ANYSERVICE_STATE_DIR": str(self.state),
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW_CONN_ANYSERVICE_DEFAULT": json.dumps({"conn_type": "anyservice", "host": "local"}),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.log_ports[0]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(self.log_ports[1]),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "20",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        }

    # ── start and stop ──

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a part of Airflow, in a session of its own."""
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            part = subprocess.Popen(
                ["airflow", *command], env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        self.parts.append(part)
        return part

    def stay_at_home(self) -> None:
        """Leave out the servers of logs, which listen on every address: the API reads the files, which are here."""
        program = self.folder / "bin" / "airflow"
        program.parent.mkdir(exist_ok=True)
        real = Path(sys.executable).parent / "airflow"
        program.write_text(
            f'#!/bin/sh\ncase "$1" in scheduler | triggerer) set -- "$@" --skip-serve-logs ;; esac\nexec {real} "$@"\n'
        )
        program.chmod(0o755)

    def start(self) -> None:
        self.stay_at_home()
        dags = self.folder / "airflow" / "dags"
        dags.mkdir(parents=True, exist_ok=True)
        (dags / "e2e.py").write_text(DAGS)
        self.process = self.spawn("standalone")
        self.until(self._healthy, 400)
        with httpx.Client() as client:
            self.token = client.get(f"{self.url}/auth/token", timeout=120).json()["access_token"]
        self.until(lambda: self.get("dags").get("total_entries", 0) >= 8, 200)

    def _healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "standalone.log").read_text()[-2000:]
        with contextlib.suppress(httpx.HTTPError):
            health = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=30).json()
            names = ("scheduler", "triggerer", "dag_processor")
            return all(health.get(name, {}).get("status") == "healthy" for name in names)
        return False

    def stop(self) -> None:
        """End all that was started, by its own ids: kindly, then what is left of it."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for part in self.parts:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(part.pid, sign)
            for part in self.parts:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    part.wait(20)
        for pid in self.processes(""):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def held(self) -> int:
        """The id of the task's process that stands still, as ``HeldOperator`` does; it is one that was started here."""
        found: list[int] = []
        ours = {part.pid for part in self.parts}

        def look() -> bool:
            for entry in Path("/proc").iterdir():
                with contextlib.suppress(OSError, ValueError):
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    if state == "T" and os.getsid(int(entry.name)) in ours:
                        found.append(int(entry.name))
            return bool(found)

        self.until(look, 200)
        return found[0]

    def processes(self, word: str) -> Iterator[int]:
        """The ids of this Airflow's processes, by its home in their environment, whose command line has ``word``."""
        home = f"AIRFLOW_HOME={self.folder / 'airflow'}".encode()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if (
                    home in (entry / "environ").read_bytes().split(b"\0")
                    and word.encode() in (entry / "cmdline").read_bytes()
                ):
                    yield int(entry.name)

    # ── speak ──

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        url = path if path.startswith("http") else f"{self.url}/api/v2/{path}"
        for _ in range(3):
            with contextlib.suppress(httpx.TransportError):
                reply = httpx.request(method, url, json=body, headers=headers, timeout=120)
                assert reply.status_code < 400, f"{method} {path}: {reply.status_code} {reply.text[:500]}"
                return reply.json() if "json" in reply.headers.get("content-type", "") else reply.text
        raise AssertionError(f"no answer from {url}")

    def trigger(self, dag: str, **conf: Any) -> str:
        found = self.call("POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})
        return f"dags/{dag}/dagRuns/{found['dag_run_id']}"

    def task(self, run: str, task: str = "rollout") -> Any:
        return self.get(f"{run}/taskInstances/{task}")

    def log(self, run: str, task: str = "rollout") -> str:
        tries = range(1, (self.task(run, task)["try_number"] or 1) + 1)
        return "\n".join(
            json.dumps(self.get(f"{run}/taskInstances/{task}/logs/{n}?full_content=true")) for n in tries
        )

    def ended(self, run: str, within_s: float = 300) -> str:
        self.until(lambda: self.get(run)["state"] in {"success", "failed"}, within_s)
        return str(self.get(run)["state"])

    def at_rest(self, run: str, task: str = "rollout") -> bool:
        """Whether the executor has reported each time that a worker has let go of a deferred task.

        Airflow fails a task that is resumed before that, by an event or by an answer (an open race of 3.3). People are
        slower than that, and tests are not.
        """
        _, dag, _, run_id = run.split("/")
        tried = self.task(run, task)["try_number"]
        key = f"dag_id='{dag}', task_id='{task}', run_id='{run_id}', try_number={tried},"
        log = json.dumps(self.get(f"{run}/taskInstances/{task}/logs/{tried}?full_content=true"))
        lines = (self.folder / "standalone.log").read_text().splitlines()
        reported = sum("Received executor event" in line and key in line for line in lines)
        return reported >= log.count("Pausing task as DEFERRED") > 0

    @staticmethod
    def until(true: Any, within_s: float) -> None:
        """Look once a second until ``true()``. ``AIRFLOW_E2E_PATIENCE`` stretches the time on a machine that is busy."""
        end = time.monotonic() + within_s * float(os.environ.get("AIRFLOW_E2E_PATIENCE", "1"))
        while not true():
            assert time.monotonic() < end, f"not within {within_s} s"
            time.sleep(1)
