"""What this machine lacks to run a plane: each thing looked at by itself, each with the way out.

A *problem* keeps the plane, or the engine that was asked for, from working. A *warning* will hurt later, or under
load. Nothing is changed, nothing is started but ``haproxy -v``, and a plane that runs does not notice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

from anyservice_core.errors import AnyserviceError
from anyservice_core.plane import control
from anyservice_core.plane.doctor.amounts import AMOUNTS
from anyservice_core.plane.doctor.finding import Case, Finding
from anyservice_core.plane.doctor.installed import INSTALLED
from anyservice_core.plane.doctor.kept import KEPT
from anyservice_core.plane.engines.procfs import listener_on
from anyservice_core.plane.ports import is_free

__all__ = ["examine"]


def examine(case: Case) -> list[Finding]:
    """Look at everything; what cannot even be looked at is a problem of its own."""
    found: list[Finding] = []
    for check in _CHECKS:
        try:
            found.extend(check(case))
        except (OSError, ValueError, AnyserviceError) as error:
            name = check.__name__.strip("_")
            found.append(Finding(name, "problem", str(error), getattr(error, "hint", None) or ""))
    return found


# ── the plane ───────────────────────────────────────────────────────────────


def _plane(case: Case) -> Iterator[Finding]:
    if record := case.record:
        yield Finding(
            "plane", "ok", f"runs at {record['host']} (pid {record['pid']}, engine {record['engine']})"
        )
        return
    left = control.left_running(case.state_dir)
    if (case.state_dir / "plane.json").exists():
        message = f"the last one ended without a word{f'; {left} go on serving' if left else ''}."
        yield Finding(
            "plane",
            "warning",
            message,
            "`anyservice plane up -d` takes over; `anyservice plane down` ends all.",
        )
    elif left:
        yield Finding(
            "plane",
            "warning",
            f"none runs, and {left} go on serving.",
            "`anyservice plane up -d` takes over.",
        )
    else:
        yield Finding("plane", "ok", "none runs")


def _ports(case: Case) -> Iterator[Finding]:
    ours = case.record is not None
    held = [] if ours else [(case.port, "the plane's API", f"anyservice plane up --port {case.port + 1}")]
    if not ours and not control.left_running(case.state_dir):
        held.extend(
            (port, f"service {name}", "Stop what holds it: its address is the service's.")
            for name, port in _services(case)
        )
    taken = [one for one in held if not is_free(one[0])]
    for port, whose, way in taken:
        yield Finding(
            "ports", "problem", f"{port}, of {whose}, is held by {listener_on(port) or 'another user'}.", way
        )
    if not taken:
        yield Finding(
            "ports",
            "ok",
            "in use by the plane itself" if ours else f"{case.port} and those of services are free",
        )


def _services(case: Case) -> list[tuple[str, int]]:
    path = case.state_dir / "plane.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
        try:
            return file.execute("SELECT name, port FROM services WHERE state != 'TERMINATED'").fetchall()
        except sqlite3.DatabaseError:
            return []


_CHECKS: Final[tuple[Callable[[Case], Iterator[Finding]], ...]] = (
    *INSTALLED,
    *KEPT,
    _plane,
    _ports,
    *AMOUNTS,
)
