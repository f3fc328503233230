"""The folder of one host: all that engine and host know of each other, kept on disk.

    spec.json      what to run; 0600, since environment variables may be secret
    host.json      who it is: engine, session, socket, when it was started
    ready.json     the address, written by the host when it first serves
    failed.json    why it will not come up; written by the host, or by the engine for a hang
    stopping.json  when it was first asked to stop
    host.log       what the host and the user's code print; the only file that outlives a stop
    ray-logs       a link to the logs of the cluster's own processes, replicas among them

Every JSON file is written aside and renamed, so no reader ever sees half of one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["HostDir", "prune"]


class HostDir:
    """Names and reads the files of one host."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "host.log"

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.log.exists():
            self.log.replace(self.path / "host.log.old")

    def clear(self) -> None:
        """Forget the host; its log stays."""
        (self.path / "ray-logs").unlink(missing_ok=True)
        for name in ("failed", "ready", "stopping", "spec", "host"):  # host last: until then it is known
            (self.path / f"{name}.json").unlink(missing_ok=True)

    def read(self, name: str) -> dict[str, Any] | None:
        try:
            data = json.loads((self.path / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def write(self, name: str, data: Mapping[str, Any]) -> None:
        target = self.path / f"{name}.json"
        aside = target.with_suffix(f".{os.getpid()}.tmp")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(data, file)
        aside.replace(target)

    def write_once(self, name: str, data: Mapping[str, Any]) -> None:
        """Write unless it is there: the first word stands."""
        if self.read(name) is None:
            with contextlib.suppress(OSError):
                self.write(name, data)


def prune(hosts: Path, *, keep: int = 50) -> None:
    """Drop the oldest folders of hosts that are long stopped."""
    stopped = [path for path in hosts.iterdir() if not (path / "host.json").exists()]
    for path in sorted(stopped, key=lambda path: path.stat().st_mtime)[:-keep]:
        shutil.rmtree(path, ignore_errors=True)
