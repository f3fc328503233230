"""A whole Prefect beside a whole plane for end-to-end tests: started, spoken to over REST, and stopped by their own ids."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from anyservice_core import Client, ServiceStatus
from anyservice_core.plane import control, daemon

__all__ = ["EXAMPLES", "House", "Version", "free_port", "until"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "dags_examples"
APP = """
ERRORS, NAME = {errors}, {name!r}
seen = 0

async def app(scope, receive, send):
    global seen
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({{"type": "lifespan.startup.complete"}})
        return await send({{"type": "lifespan.shutdown.complete"}})
    seen += 1
    status = 500 if ERRORS and seen % ERRORS == 0 else 200
    await send({{"type": "http.response.start", "status": status, "headers": []}})
    await send({{"type": "http.response.body", "body": NAME.encode()}})
"""
_LATE_S = 200.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], Any], what: str, *, within_s: float = _LATE_S) -> Any:
    """What ``look`` gives once it gives something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.3)
    raise AssertionError(f"waited {within_s:g} s in vain for {what}")


@dataclass(frozen=True)
class Version:
    """What a run is given to roll out: the paths of a config and of a plan."""

    config: str
    plan: str

    @property
    def parameters(self) -> dict[str, Any]:
        return {"config": self.config, "plan": self.plan}


@dataclass
class House:
    """A Prefect server, a worker of the pool ``services`` and a plane, all of whose files are in ``folder``."""

    folder: Path
    port: int = field(default_factory=free_port)
    plane_port: int = field(default_factory=free_port)
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        """Where the plane keeps its state."""
        return self.folder / "plane"

    @property
    def env(self) -> dict[str, str]:
        """The environment of all processes: nothing of the unit tests' own Prefect is in it."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT", "PYTEST", "ANYS"))
        }
        return kept | {
            "HOME": str(self.folder),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "ANYSERVICE_HOST": "local",
            "ANYSERVICE_STATE_DIR": str(self.state),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_UI_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_CLI_COLORS": "false",
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    # ── start and stop ──

    def start(self) -> None:
        """Bring up the plane and the server, deploy what the example of ``prefect.yaml`` has, and start a worker."""
        self.start_plane()
        self.start_server()
        (self.folder / "examples").symlink_to(EXAMPLES)
        self.run("prefect", "work-pool", "create", "--type", "process", "services")
        self.run("prefect", "deploy", "--all", cwd=self.folder / "examples")
        self.start_worker()

    def start_plane(self) -> None:
        """Start the plane, or start it again, where clients look for it."""
        control.spawn(
            daemon.PlaneSettings(
                state_dir=self.state,
                port=self.plane_port,
                engine="process",
                first_service_port=min(self.plane_port + 1, 60000),
                ladder_hold_s=0.3,
            ),
            timeout_s=90,
        )

    def start_server(self) -> None:
        port = str(self.port)
        self.spawn("server", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port)
        until(self._answers, "Prefect's server", within_s=300)

    def start_worker(self) -> None:
        self.spawn("worker", "prefect", "worker", "start", "--pool", "services", "--type", "process")
        self.wait_for_worker()

    def wait_for_worker(self) -> None:
        until(
            lambda: "ONLINE" in str(self.post("work_pools/services/workers/filter", {})),
            "the worker",
        )

    def _answers(self) -> bool:
        assert self.parts["server"].poll() is None, self.log("server")[-2000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/api/health", timeout=30, trust_env=False).status_code == 200
        return False

    def spawn(
        self, name: str, *command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a part in a session of its own; what it says is in ``log(name)``."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.parts[name] = subprocess.Popen(
                command,
                cwd=cwd or self.folder,
                env=self.env | dict(env or {}),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.parts[name]

    def run(
        self, *command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, given: str = ""
    ) -> str:
        """Do one thing to its end, ``given`` something to read, and give what it said."""
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env=self.env | dict(env or {}),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def end(self, name: str) -> None:
        """End one part: kindly, then what is left of it."""
        part = self.parts.pop(name)
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(part.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.wait(40)

    def stop(self) -> None:
        """End all that was started, the server last, and the plane with its services."""
        for name in [*self.parts][::-1]:
            self.end(name)
        for pid in self.processes(""):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        control.down(self.state)

    def processes(self, word: str) -> Iterator[int]:
        """The ids of this Prefect's processes, by its home in their environment, in which there is ``word`` too."""
        home = f"PREFECT_HOME={self.folder / 'prefect'}".encode()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                environment = (entry / "environ").read_bytes()
                if home in environment.split(b"\0") and word.encode() in environment:
                    yield int(entry.name)

    # ── Prefect ──

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any) -> Any:
        return self.call("POST", path, body)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server's API; busy with its database, it is asked again."""
        for _ in range(5):
            with contextlib.suppress(httpx.TransportError):
                reply = httpx.request(
                    method, f"{self.url}/api/{path}", json=body, timeout=60, trust_env=False
                )
                if reply.status_code != 503:
                    assert reply.status_code < 400, f"{method} {path}: {reply.status_code} {reply.text[:800]}"
                    return reply.json() if reply.content else None
            time.sleep(1)
        raise AssertionError(f"no answer to {method} {path}: {self.log('server')[-800:]}")

    def start_run(self, version: Version, deployment: str = "nightly", **parameters: Any) -> str:
        """Start a run of a deployment of the ready-made flow, and give its id."""
        return self.start_deployed("progressive-deploy", deployment, version.parameters | parameters)

    def start_deployed(self, flow: str, deployment: str, parameters: Mapping[str, Any]) -> str:
        """Start a run of any deployment."""
        found = self.get(f"deployments/name/{flow}/{deployment}")
        body = {"parameters": dict(parameters), "state": {"type": "SCHEDULED"}}
        return str(self.post(f"deployments/{found['id']}/create_flow_run", body)["id"])

    def state_of(self, run: str) -> Any:
        return self.get(f"flow_runs/{run}")["state"]

    def ended(self, run: str, *, within_s: float = _LATE_S) -> tuple[str, str]:
        """Wait for the end of a run, and give the name of its state and what that says."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        state = until(
            lambda: (now := self.state_of(run))["type"] in final and now, "the end", within_s=within_s
        )
        return state["name"], state["message"] or ""

    def reaches(self, run: str, name: str) -> Any:
        """Wait for a run's state of this name; that it ends in another is an error."""

        def look() -> Any:
            state = self.state_of(run)
            final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
            assert state["name"] == name or state["type"] not in final, state
            return state if state["name"] == name else None

        return until(look, f"{name} of {run}")

    def set_state(self, run: str, **state: Any) -> None:
        self.post(f"flow_runs/{run}/set_state", {"state": state, "force": True})

    def resume(self, run: str, **answer: Any) -> Any:
        """Answer the form of a run that waits; give whether the server takes it."""
        return self.post(f"flow_runs/{run}/resume", {"run_input": answer})

    def lines(self, run: str) -> list[str]:
        """The log of a run."""
        body = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return [line["message"] for line in self.post("logs/filter", body)]

    def artifacts(self, run: str) -> dict[str, Any]:
        """The latest data of each artifact of a run, by what it is about."""
        body = {"artifacts": {"flow_run_id": {"any_": [run]}}, "limit": 200}
        found = sorted(self.post("artifacts/filter", body), key=lambda one: one["created"])
        return {one["key"].rsplit("-", 1)[-1]: one["data"] for one in found if one["key"]}

    def events(self, **match: Any) -> list[Any]:
        """Events by Prefect's own filter: ``event={"prefix": [...]}``, ``resource={"id": [...]}``."""
        body = {"filter": match | {"order": "ASC"}, "limit": 50}
        return list(self.post("events/filter", body)["events"])

    def flow_process(self, run: str) -> int:
        """The id of the process that runs a flow run."""
        word = f"PREFECT__FLOW_RUN_ID={UUID(run)}"
        return int(until(lambda: next(iter(sorted(self.processes(word))), None), "the process", within_s=60))

    def deaths(self) -> int:
        """How many times the worker is done with a run whose process was killed."""
        last = "prefect.flow_runs.worker - Check whether the flow run exceeded its memory"
        return self.log("worker").count(last)

    # ── the plane ──

    def client(self) -> Client:
        record = control.read_record(self.state) or {}
        return Client(record["host"], record["token"])

    def status(self, name: str) -> ServiceStatus:
        with self.client() as client:
            return client.status(name)

    def weight(self, name: str) -> int | None:
        """The percent of the traffic that the canary of a service has; ``None`` if there is none."""
        canary = self.status(name).canary_version
        return canary.weight if canary else None

    def deploys(self, name: str) -> int:
        """How many versions of a service the plane was ever asked to deploy, as it counts them itself."""
        of_service = "service_id = (select id from services where name = ?) and version_id is not null"
        with contextlib.closing(sqlite3.connect(self.state / "plane.db")) as store:
            rows = store.execute(f"select count(distinct version_id) from events where {of_service}", [name])
            return int(rows.fetchone()[0])

    def serve(self, name: str, plan: str, *, errors: int = 0, broken: bool = False) -> Version:
        """Deploy the first version of a service; give a second one, failing on every ``errors``th request, and a plan."""
        folder = self.folder / "services" / name
        (folder / "app").mkdir(parents=True)
        config, code = folder / "service.yaml", folder / "app" / "main.py"
        config.write_text(
            f"name: {name}\nworking_dir: {folder}/app\napplications: [{{import_path: 'main:app'}}]\n"
        )
        code.write_text(APP.format(errors=0, name="first"))
        with self.client() as client:
            client.deploy(str(config), canary_percent=100)
            client.wait(name, timeout_s=120, poll_interval_s=0.3)
        code.write_text(
            "import a_module_that_is_not_there" if broken else APP.format(errors=errors, name="second")
        )
        (folder / "rollout.yaml").write_text(f"rollout: {plan}\n")
        return Version(str(config), str(folder / "rollout.yaml"))

    @contextlib.contextmanager
    def traffic(self, name: str, *, per_s: float = 40.0) -> Iterator[None]:
        """Steady requests to a service, for as long as the context lasts."""
        status, stopping = self.status(name), threading.Event()
        headers = {"Authorization": f"Bearer {status.query_auth_token}"}

        def send() -> None:
            with httpx.Client(headers=headers, timeout=30, trust_env=False) as http:
                while not stopping.wait(1 / per_s):
                    with contextlib.suppress(httpx.HTTPError):
                        http.get(str(status.query_url))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(30)
