"""How much there is: disk, memory, and what one user may have of files and processes."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from anyservice_core.plane.doctor.finding import Case, Finding, Level
from anyservice_core.plane.room import NEEDS, Room, spelled

__all__ = ["AMOUNTS"]

_FILES, _FEW_FILES, _PROCESSES = 4096, 1024, 2048
_SHARED: Final = 256 * 2**20


def _disk(case: Case) -> Iterator[Finding]:
    room = Room(case.state_dir)
    free = room.free_disk()
    way = "Make room, or set ANYSERVICE_STATE_DIR to a folder on another disk."
    if free < room.least_disk:
        message = f"{spelled(free)} are free: deploys are refused below {spelled(room.least_disk)}."
        yield Finding("disk", "problem", message, way)
    elif free < 4 * room.least_disk:
        yield Finding("disk", "warning", f"{spelled(free)} are free.", way)
    else:
        yield Finding("disk", "ok", f"{spelled(free)} are free")
    shared = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").exists() else 0  # noqa: S108  # Ray's place for it
    if case.engine == "ray" and shared < _SHARED:
        yield Finding(
            "disk",
            "warning",
            f"{spelled(shared)} are free in /dev/shm: Ray keeps objects on disk then.",
            "In a container: --shm-size=1g",
        )


def _memory(case: Case) -> Iterator[Finding]:
    free, need = Room(case.state_dir).free_memory(), NEEDS[case.engine]
    count = free // need
    message = (
        f"{spelled(free)} are free: {count} more version(s) on engine {case.engine}, at {spelled(need)} each"
    )
    if count < 1:
        way = "Make room, or use --engine process."
        yield Finding("memory", "problem", f"{message}; deploys are refused.", way)
    elif count < 2:
        yield Finding(
            "memory",
            "warning",
            f"{message}; a rollout needs room for two.",
            "Make room, or use --engine process.",
        )
    else:
        yield Finding("memory", "ok", message)


def _limits(_: Case) -> Iterator[Finding]:
    files, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes, _hard = resource.getrlimit(resource.RLIMIT_NPROC)
    few = [
        (what, n, option)
        for what, n, least, option in (
            ("open files", files, _FILES, "-n"),
            ("processes", processes, _PROCESSES, "-u"),
        )
        if 0 <= n < least
    ]
    for what, number, option in few:
        level: Level = "problem" if what == "open files" and number < _FEW_FILES else "warning"
        least = _FILES if option == "-n" else _PROCESSES
        name = "LimitNOFILE" if option == "-n" else "LimitNPROC"
        yield Finding(
            "limits",
            level,
            f"{number} {what} at most, and under load {least} are needed.",
            f"ulimit {option} {least}; for systemd: {name}={least}",
        )
    if not few:
        yield Finding("limits", "ok", f"{_count(files)} open files, {_count(processes)} processes")


def _count(number: int) -> str:
    return "any number of" if number == resource.RLIM_INFINITY else str(number)


AMOUNTS: Final = (_disk, _memory, _limits)
