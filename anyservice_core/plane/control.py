"""The plane from outside: start it in the background, find it, stop it and all that it runs."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anyservice_core.errors import PlaneError
from anyservice_core.plane.daemon import PlaneSettings, engines
from anyservice_core.plane.engines import procfs
from anyservice_core.plane.engines.spawn import exit_reason, host_environment, reap
from anyservice_core.plane.engines.spawn import spawn as start_detached
from anyservice_core.plane.run_dir import remove_run_dir, run_dir

__all__ = ["down", "left_running", "read_record", "spawn"]

LARGEST_LOG = 20_000_000
_KEPT = ("ANYSERVICE_STATE_DIR",)  # of our own settings, which are withheld from what we start


def spawn(settings: PlaneSettings, *, timeout_s: float = 60.0) -> dict[str, Any]:
    """Start a plane in the background and wait until it answers; give its ``plane.json``.

    Raises:
        PlaneError: it ended, or did not answer in time; with the end of its log.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({**asdict(settings), "state_dir": str(settings.state_dir)})
    log_path = settings.state_dir / "plane.log"
    start = _fresh(log_path)
    command = [sys.executable, "-m", "anyservice_core.plane.daemon", text]
    keep = {name: value for name in _KEPT if (value := os.environ.get(name))}
    pid = start_detached(command, environment=host_environment(keep), log=log_path)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        record = read_record(settings.state_dir)
        if record and record["pid"] == pid and _answers(record["host"]):
            return record
        reap(pid)
        if procfs.read_stat(pid) is None:
            raise PlaneError(_last_words(log_path, start) or f"the plane ended{exit_reason(pid)}.")
        time.sleep(0.05)
    os.kill(pid, signal.SIGTERM)
    raise PlaneError(f"the plane did not answer within {timeout_s:g} s.", hint=f"Its log: {log_path}")


def _fresh(log_path: Path) -> int:
    """Put a log aside that has grown large, in place of the one before it; give where the next words will be."""
    size = log_path.stat().st_size if log_path.exists() else 0
    if size <= LARGEST_LOG:
        return size
    log_path.replace(log_path.with_name(f"{log_path.name}.1"))
    return 0


def _last_words(log_path: Path, start: int) -> str:
    """Give the error line that the plane ended with."""
    with log_path.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else ""


def _answers(host: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{host}/healthz", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def read_record(state_dir: Path) -> dict[str, Any] | None:
    """Read ``plane.json``; ``None`` when there is no plane, or none that still lives."""
    try:
        record: dict[str, Any] = json.loads((state_dir / "plane.json").read_text())
    except (OSError, ValueError):
        return None
    return record if _lives(record) else None


def _lives(record: dict[str, Any]) -> bool:
    """Say whether the plane of this record runs: its number may be a later stranger's."""
    stat = procfs.read_stat(record.get("pid", 0))
    if stat is None or stat.is_zombie:
        return False
    return (stat.start_ticks, procfs.boot_id()) == (record.get("start_ticks"), record.get("boot_id"))


def down(state_dir: Path, *, tell: Callable[[str], None] = lambda _: None) -> None:
    """Stop the plane, every version and the router; return when no process of theirs is left.

    What was asked for stays in the store: the next ``plane up`` starts the services again.
    """
    from anyservice_core.plane.router import Router

    record = read_record(state_dir)
    if record:
        tell(f"stopping the plane (pid {record['pid']})")
        _end(record)
    (state_dir / "plane.json").unlink(missing_ok=True)
    for name, engine in engines(state_dir).items():
        if running := engine.known():
            tell(f"stopping {len(running)} version(s) of engine {name}")
            engine.stop_all()
    router = Router(state_dir, run_dir(state_dir))
    if router.running():
        tell("stopping the router")
        router.stop()
    remove_run_dir(state_dir, dead=True)


def left_running(state_dir: Path) -> str:
    """Name what of an earlier plane still runs, whether or not one does now; nothing if nothing does."""
    from anyservice_core.plane.router import Router

    found = [
        f"{len(known)} version(s)" for engine in engines(state_dir).values() if (known := engine.known())
    ]
    router = ["the router"] if Router(state_dir, run_dir(state_dir)).running() else []
    return " and ".join([*found, *router])


def _end(record: dict[str, Any], *, patience_s: float = 15.0) -> None:
    """Ask the plane to stop, insist after a while, and return when it is gone."""
    pid = record["pid"]
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while _lives(record):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        reap(pid)
        time.sleep(0.05)
