"""Where the plane keeps things: its folder, its secrets, its store, and the clock that all of it is dated by."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from anyservice_core.plane.doctor.finding import Case, Finding
from anyservice_core.plane.engines.procfs import PROC
from anyservice_core.plane.run_dir import run_dir
from anyservice_core.plane.store import SCHEMA_VERSION

__all__ = ["KEPT"]

_REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "lustre"})


def _folder(case: Case) -> Iterator[Finding]:
    there = next(path for path in (case.state_dir, *case.state_dir.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        way = "Give it to this user, or set ANYSERVICE_STATE_DIR to another folder."
        yield Finding("state folder", "problem", f"{there} cannot be written by uid {os.getuid()}.", way)
        return
    kind = _file_system(there)
    if kind in _REMOTE:
        way = "Set ANYSERVICE_STATE_DIR to a folder on a disk of this machine."
        yield Finding(
            "state folder",
            "problem",
            f"{case.state_dir} is on {kind}: locks and SQLite's log do not hold there.",
            way,
        )
    else:
        yield Finding("state folder", "ok", f"{case.state_dir} ({kind or 'disk'})")
    run_dir(case.state_dir)  # raises if it is another user's


def _file_system(path: Path) -> str:
    """Name the kind of file system that a path is on: that of the longest mount point above it."""
    mounts = [line.split()[1:3] for line in (PROC / "mounts").read_text().splitlines()]
    above = [
        (point, kind) for point, kind in mounts if path.resolve().is_relative_to(point.replace("\\040", " "))
    ]
    return max(above, key=lambda pair: len(pair[0]), default=("", ""))[1]


def _secrets(case: Case) -> Iterator[Finding]:
    names = ("token", "plane.json", "plane.db", "router/tokens.map")
    open_ones = [
        path
        for name in names
        if (path := case.state_dir / name).exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    for path in open_ones:
        yield Finding(
            "secrets", "problem", f"others can read {path}: there are tokens in it.", f"chmod 600 {path}"
        )
    if not open_ones:
        yield Finding("secrets", "ok", "tokens are this user's alone")


def _store(case: Case) -> Iterator[Finding]:
    path = case.state_dir / "plane.db"
    if not path.exists():
        yield Finding("store", "ok", "nothing was deployed yet")
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
        try:
            (schema,), (health,) = (
                file.execute("PRAGMA user_version").fetchone(),
                file.execute("PRAGMA quick_check(1)").fetchone(),
            )
            rows = file.execute("SELECT state FROM services").fetchall() if schema else []
        except sqlite3.DatabaseError as error:
            schema, health, rows = 0, str(error), []
    if health != "ok":
        yield Finding(
            "store",
            "problem",
            f"{path} is damaged: {health}",
            "anyservice plane restore --replace FILE, from a backup",
        )
    elif schema > SCHEMA_VERSION:
        yield Finding(
            "store",
            "problem",
            f"{path} was written by a newer anyservice (schema {schema}).",
            "Upgrade anyservice.",
        )
    else:
        living = sum(state != "TERMINATED" for (state,) in rows)
        yield Finding("store", "ok", f"{len(rows)} services, {living} of them living")


def _clock(case: Case) -> Iterator[Finding]:
    path = case.state_dir / "plane.db"
    newest = 0.0
    if path.exists():
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            try:
                newest = file.execute("SELECT max(at) FROM events").fetchone()[0] or 0.0
            except sqlite3.DatabaseError:  # the store's own finding says so
                return
    if newest > time.time() + 5:
        message = f"the clock is {newest - time.time():.0f} s behind the last event: drains and rollouts wait for that long."
        yield Finding("clock", "problem", message, "Set the clock: timedatectl set-ntp true")
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


KEPT: Final = (_folder, _secrets, _store, _clock)
