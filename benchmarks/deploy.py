"""From a deploy to RUNNING on the plane, against `serve run` of the same application, in turns.

`serve run` is measured until its application answers over HTTP. Both start a Ray cluster of their own from nothing.

    python benchmarks/deploy.py [rounds, 3]
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from side_by_side.plane import config, deploy, free_port, plane

from anyservice_core.client import Client
from anyservice_core.plane.engines.sessions import Session

LONGEST_S, GOAL = 240.0, 1.15


def bare(folder: Path) -> float:
    """Seconds until `serve run` answers."""
    port, temp = free_port(), Path(tempfile.mkdtemp(prefix="asvb-", dir="/tmp"))
    app = {"name": "default", "route_prefix": "/", "import_path": "main:app"}
    told = {"http_options": {"host": "127.0.0.1", "port": port}, "applications": [app]}
    (folder / "serve.yaml").write_text(json.dumps(told))
    environment = {
        **os.environ,
        "RAY_TMPDIR": str(temp),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    serve = str(Path(sys.executable).with_name("serve"))
    command = [serve, "run", "serve.yaml", "--app-dir", str(folder), "--address", "local"]
    start = time.perf_counter()
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, start_new_session=True, stdout=log, stderr=log
        )
    session = Session.of_leader(process.pid, "")
    try:
        while not answers(f"http://127.0.0.1:{port}/"):
            if process.poll() is not None or time.perf_counter() - start > LONGEST_S:
                raise TimeoutError((folder / "serve.log").read_text()[-2000:])
            time.sleep(0.1)
        return time.perf_counter() - start
    finally:
        end(process, session)
        shutil.rmtree(temp, ignore_errors=True)


def bare_again(folder: Path) -> float:
    """On a busy machine Ray may give up after 30 s, which is nobody's measure: then once more."""
    try:
        return bare(folder)
    except TimeoutError as error:
        print(f"`serve run` did not come up, and is run again: {str(error).strip().splitlines()[-1]}")
        return bare(folder)


def end(process: subprocess.Popen[bytes], session: Session) -> None:
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=30)
    session.kill()
    process.wait(timeout=10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


@contextlib.contextmanager
def ours() -> Iterator:
    """A plane on which each deploy is a new service, that is gone before the next one."""
    with plane("ray") as (record, state):

        def timed(number: int) -> float:
            start = time.perf_counter()
            deploy(record, config(state.parent, "ray", f"hello-{number}"))
            took = time.perf_counter() - start
            with Client(record["host"], record["token"]) as client:
                client.terminate(f"hello-{number}")
                client.wait(f"hello-{number}", state="TERMINATED", poll_interval_s=0.2)
            return took

        yield timed, state.parent


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    took: dict[str, list[float]] = {"serve run": [], "the plane": []}
    began = time.perf_counter()
    with ours() as (timed, folder):
        app = Path(str(config(folder, "ray", "bare").working_dir))
        for number in range(rounds):
            took["the plane"].append(timed(number))
            took["serve run"].append(bare_again(app))
            print(
                f"round {number + 1}: "
                + ", ".join(f"{name} {times[-1]:.1f} s" for name, times in took.items())
            )
            if time.perf_counter() - began > LONGEST_S * 0.5:
                break
    ratio = statistics.median(took["the plane"]) / statistics.median(took["serve run"])
    print(f"the plane takes {ratio:.2f} times as long (goal {GOAL})")
    print(json.dumps({"ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
