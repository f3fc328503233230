"""Everything that a run starts, and the proof that nothing of it is left.

A process is of this run if it carries the run's mark in the environment that it was born with, or is in a
session that was seen to belong to the run: those of the programs started here, of the plane, its hosts and its
router, which are written under the plane's state folder. Sessions and not process groups, since Ray's
workers have groups of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from anyservice_core.plane.engines import procfs

__all__ = ["MARK", "Program", "Programs", "Stopped"]

MARK = "ANYDEMO_RUN"
PATIENCE_S = 8.0
# Without byte code Ray, Airflow and Prefect take seconds longer to start; and the flow shall go to a
# Prefect server of its own, not to the user's.
UNWANTED = frozenset({"PYTHONDONTWRITEBYTECODE", "PREFECT_API_URL", "PREFECT_API_KEY"})
TAIL_S = 0.1


class Stopped(RuntimeError):  # noqa: N818  # not a fault: what was asked for
    """The run is being ended, so nothing more is started."""


@dataclass(frozen=True)
class Program:
    """Something to run: ``name`` for the log file, ``command``, and what to add to the environment."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass
class Programs:
    """Starts programs, keeps their output under ``logs``, ends them, and counts what is left.

    Args:
        state_dir: the plane's, where its sessions are written.
        mark: a name that no other run has.
    """

    logs: Path
    state_dir: Path
    mark: str
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _sessions: dict[int, str] = field(default_factory=dict)
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def run(self, program: Program, on_line: Callable[[str], None] = lambda _: None) -> int:
        """Run a program to its end; give its exit code. Its output goes to its log, line by line to ``on_line`` too."""
        self.logs.mkdir(parents=True, exist_ok=True)
        path = self.logs / f"{program.name}.log"
        # By way of the file and not a pipe, which a grandchild might keep open for ever.
        with path.open("a") as log, path.open(errors="replace") as lines:
            lines.seek(0, os.SEEK_END)
            child = self._start(program, log)
            while True:
                code = child.poll()  # asked before reading, so that the last words are read
                for line in lines:
                    on_line(line.rstrip("\n"))
                if code is not None:
                    return code
                time.sleep(TAIL_S)

    def _start(self, program: Program, log: IO[str]) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        with self._lock:
            if self._stopped:
                raise Stopped(program.name)
            child = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**inherited, "PYTHONUNBUFFERED": "1", **program.environment, MARK: self.mark},
                start_new_session=True,
            )
            self._children.append(child)
            self._sessions[child.pid] = program.name
        return child

    def look_around(self) -> None:
        """Note the sessions that the plane has at present."""
        for path, name in (
            (self.state_dir / "router.json", "router"),
            (self.state_dir / "plane.json", "plane"),
        ):
            self._note(path, name)
        for path in self.state_dir.glob("hosts/*/host.json"):
            self._note(path, f"host of {path.parent.name}")

    def _note(self, path: Path, name: str) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(path.read_text())
            sid = int(record["session"]["sid"] if "session" in record else record["pid"])
            with self._lock:
                self._sessions[sid] = name

    def end(self) -> None:
        """Ask every program that still runs to stop, and insist after some seconds. Starts nothing from then on."""
        with self._lock:
            self._stopped = True
            running = [child for child in self._children if child.poll() is None]
        for child in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_S
        for child in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))

    def allow(self) -> None:
        """Let programs be started again, to clean up."""
        with self._lock:
            self._stopped = False

    def sweep(self) -> None:
        """Kill whatever is left of this run."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self._ours()) and time.monotonic() < deadline:
            for stat in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stat.pid, signal.SIGKILL)
            time.sleep(TAIL_S)

    def left(self, patience_s: float = 0.0) -> list[str]:
        """Give what is left of this run, in words; waits up to ``patience_s`` for what is about to go."""
        deadline = time.monotonic() + patience_s
        while (found := self._ours()) and time.monotonic() < deadline:
            time.sleep(TAIL_S)
        return [f"{self._sessions.get(stat.session, 'unknown')} (pid {stat.pid})" for stat in found]

    def _ours(self) -> list[procfs.Stat]:
        for child in self._children:
            child.poll()  # or it would stay as a zombie
        return [stat for stat in procfs.stats() if self._is_ours(stat)]

    def _is_ours(self, stat: procfs.Stat) -> bool:
        if stat.is_zombie or stat.pid == os.getpid():
            return False
        return stat.session in self._sessions or procfs.has_environment(stat.pid, MARK, self.mark)
