"""Reads ``/proc``: who is in which session, and since when."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Stat",
    "boot_id",
    "has_environment",
    "held_bytes",
    "listener_on",
    "parse_stat",
    "read_stat",
    "stats",
]

PROC = Path("/proc")


@dataclass(frozen=True)
class Stat:
    """One process. ``start_ticks`` counts from boot: with the pid it names a process for good."""

    pid: int
    state: str
    parent: int
    session: int
    start_ticks: int

    @property
    def is_zombie(self) -> bool:
        return self.state in {"Z", "X"}


def parse_stat(text: str) -> Stat:
    """Read one line of ``/proc/<pid>/stat``. The command's name may hold spaces and parentheses."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Stat(
        pid=int(head.partition("(")[0]),
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
    )


def read_stat(pid: int) -> Stat | None:
    try:
        return parse_stat((PROC / str(pid) / "stat").read_text(errors="replace"))
    except (OSError, ValueError, IndexError):
        return None  # it is gone, or goes just now


def stats() -> Iterator[Stat]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (stat := read_stat(int(entry.name))):
            yield stat


def boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def has_environment(pid: int, name: str, value: str) -> bool:
    """Whether a process was started with ``name=value``; ``False`` when that may not be read."""
    return f"{name}={value}".encode() in (_environment(pid) or b"").split(b"\0")


def has_lost_environment(pid: int) -> bool:
    """Whether a process wrote over the environment it was born with, as those that set their title do.

    A title covers it from the front, as far as it reaches and with zeros after it.
    """
    environment = _environment(pid)
    return environment is not None and not re.match(rb"[A-Za-z_][A-Za-z0-9_]*=", environment)


def _environment(pid: int) -> bytes | None:
    try:
        return (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None


def held_bytes(pid: int) -> int:
    """How much memory a process holds, its share of what it shares with others (PSS); 0 if it cannot be told."""
    try:
        told = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", told, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def listener_on(port: int) -> str:
    """Name the process that listens on a TCP port, by pid and command, if it is one of this user's; else nothing."""
    inodes = {f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in _listening(name, port)}
    for entry in PROC.iterdir() if inodes else ():
        if entry.name.isdigit() and not inodes.isdisjoint(_open_files(entry)):
            return f"pid {entry.name} ({(entry / 'comm').read_text().strip()})"
    return ""


def _listening(name: str, port: int) -> Iterator[str]:
    """The sockets that listen on a port, by their inodes."""
    try:
        rows = [line.split() for line in (PROC / "net" / name).read_text().splitlines()[1:]]
    except OSError:
        return
    for row in rows:
        if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port:
            yield row[9]


def _open_files(process: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # another user's, or it ended
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                found.add(str(link.readlink()))
    return found
