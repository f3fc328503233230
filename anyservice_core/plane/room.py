"""How much disk and memory there is for one more version, and how little is too little.

A version that does not fit brings others down with it: on a full disk nothing can be written that was promised, and
where memory ends, the kernel ends whom it likes. So a deploy that would start one is refused beforehand.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anyservice_core.errors import ConflictError

__all__ = ["LEAST_DISK", "NEEDS", "Room", "spelled"]

_MIB, _GIB = 2**20, 2**30
LEAST_DISK: Final = _GIB
# What a version takes when it starts, as measured: `benchmarks/plane_memory.py`.
NEEDS: Final[Mapping[str, int]] = {"ray": 768 * _MIB, "process": 64 * _MIB}


@dataclass(frozen=True)
class Room:
    """What this machine has left for the plane on ``state_dir``, in bytes.

    ``least_disk`` and ``least_memory`` are what must be free for a deploy to be taken; ``None``: what the engine
    needs; 0: whatever there is.
    """

    state_dir: Path
    least_disk: int = LEAST_DISK
    least_memory: int | None = None

    def free_disk(self) -> int:
        """What this user may still write."""
        there = next(path for path in (self.state_dir, *self.state_dir.parents) if path.exists())
        return shutil.disk_usage(there).free

    def free_memory(self) -> int:
        """What can be had without ending or swapping anything; no more than this process's control group may have."""
        told = Path("/proc/meminfo").read_text()
        found = re.search(r"^MemAvailable:\s+(\d+) kB", told, re.MULTILINE)
        available = int(found[1]) * 1024 if found else 2**63
        return min(available, _group_memory())

    def check(self, engine: str) -> None:
        """Look whether another version has room.

        Raises:
            ConflictError: it has not; with what there is and what is needed.
        """
        if (free := self.free_disk()) < self.least_disk:
            raise ConflictError(
                f"this machine's disk is nearly full: {spelled(free)} are free for {self.state_dir},"
                f" and {spelled(self.least_disk)} must be.",
                hint="Make room there, or start the plane with another --least-disk.",
                status=409,
            )
        least = NEEDS.get(engine, 0) if self.least_memory is None else self.least_memory
        if (free := self.free_memory()) < least:
            raise ConflictError(
                f"this machine's memory is nearly full: {spelled(free)} are free, and a version on engine {engine}"
                f" needs {spelled(least)}.",
                hint="Terminate a service that is not needed, or start the plane with another --least-memory.",
                status=409,
            )


def _group_memory() -> int:
    """What is left of the memory that a container or a unit of systemd may have."""
    try:
        name = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
        folder = Path("/sys/fs/cgroup") / name.lstrip("/")
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):  # "max", or another kind of control groups
        return 2**63


def spelled(size: int) -> str:
    """Give a size in bytes as people write it."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"
