"""The folder of one host: all that engine and host know of each other, kept on disk.

    spec.json      what to run; 0600, since environment variables may be secret
    host.json      who it is: engine, session, socket, when it was started
    ready.json     the address, written by the host when it first serves
    failed.json    why it will not come up; written by the host, or by the engine for a hang
    stopping.json  when it was first asked to stop
    capacity.json  the percent of its replicas that it shall have by now; until there is one, what the spec says
    host.log       what the host and the user's code print; the only file that outlives a stop
    ray-logs       a link to the logs of the cluster's own processes, replicas among them

Where a host takes further generations of its version, each has a ``spec``, ``ready`` and ``failed`` of its
own, ``spec-2.json`` and so on. The specs that are there are the generations that are wanted: host and
engine need no other word for that, and no crash of either can lose it.

    variables-2-0.json  the environment variables of that generation's first application; 0600

Every JSON file is written aside and renamed, so no reader ever sees half of one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["HostDir", "prune"]


_OF_A_GENERATION = ("failed", "ready", "spec")
_SPEC = re.compile(r"spec(?:-(\d+))?\.json")


class HostDir:
    """Names and reads the files of one host, as one generation of its version sees them."""

    def __init__(self, path: Path, generation: int = 1) -> None:
        self.path = path
        self.generation = generation
        self.log = path / "host.log"

    def of(self, generation: int) -> HostDir:
        """Give the same folder as another generation sees it."""
        return HostDir(self.path, generation)

    def generations(self) -> list[int]:
        """Give the generations that are wanted here, in order."""
        with contextlib.suppress(OSError):
            found = [_SPEC.fullmatch(path.name) for path in self.path.iterdir()]
            return sorted(int(match[1] or 1) for match in found if match)
        return []

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.log.exists():
            self.log.replace(self.path / "host.log.old")

    def clear(self) -> None:
        """Forget the host; its log stays."""
        (self.path / "ray-logs").unlink(missing_ok=True)
        for name in ("variables-*", "failed*", "ready*", "stopping", "capacity", "spec*", "host"):
            for path in self.path.glob(f"{name}.json"):  # host last: until then it is known
                path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Forget this generation; others that the host has stay."""
        for name in _OF_A_GENERATION:
            self._file(name).unlink(missing_ok=True)
        for path in self.path.glob(f"variables-{self.generation}-*.json"):
            path.unlink(missing_ok=True)

    def read(self, name: str) -> dict[str, Any] | None:
        try:
            data = json.loads(self._file(name).read_text())
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def write(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write a file, whole or not at all, and give its path."""
        target = self._file(name)
        aside = target.with_suffix(f".{os.getpid()}.tmp")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(data, file)
        aside.replace(target)
        return target

    def _file(self, name: str) -> Path:
        own = name in _OF_A_GENERATION and self.generation != 1
        return self.path / (f"{name}-{self.generation}.json" if own else f"{name}.json")

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
