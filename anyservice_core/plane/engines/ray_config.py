"""A version's applications as Ray Serve takes them. Pure, but for Serve's own check of the result."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from anyservice_core.errors import PlaneError

from .base import VersionSpec
from .surroundings import changes_programs, import_paths

__all__ = ["Variables", "applications", "validated"]

_TRANSLATED = {"env_vars", "working_dir", "py_modules", "pip", "uv"}
_LAUNCHER = Path(__file__).with_name("with_variables.py")

Variables: TypeAlias = Mapping[str, str | None]


def applications(
    spec: VersionSpec,
    overlays: Sequence[Sequence[str]],
    *,
    inherited: Mapping[str, str],
    hide: Callable[[int, Variables], Path],
) -> list[dict[str, Any]]:
    """Give the applications with local folders as ``local://`` and no variable where others could read it.

    ``overlays`` are further import paths of each application. ``inherited`` is what workers have from the
    host's own environment. What differs from that is kept from Ray, which shows ``env_vars`` on a command
    line: ``hide`` writes the variables of an application, by its number, to a file, and
    ``with_variables`` sets them when a worker starts.
    """
    logging = {"logging_config": dict(spec.logging_config)} if spec.logging_config else {}
    return [
        {**logging, **_application(app, paths, inherited, partial(hide, number))}
        for number, (app, paths) in enumerate(zip(spec.applications, overlays, strict=True))
    ]


def _application(
    application: Mapping[str, Any],
    overlay: Sequence[str],
    inherited: Mapping[str, str],
    hide: Callable[[Variables], Path],
) -> dict[str, Any]:
    given = application.get("runtime_env") or {}
    wanted = given.get("env_vars") or {}
    runtime_env = {key: value for key, value in given.items() if key not in _TRANSLATED}
    if given.get("working_dir"):
        runtime_env["working_dir"] = f"local://{given['working_dir']}"
    if shown := _shown(application, wanted, overlay):
        runtime_env["env_vars"] = shown
    if hidden := _hidden(wanted, inherited):
        runtime_env["py_executable"] = _launcher(hide(hidden), given.get("py_executable"))
    return {"name": "default", **application, "runtime_env": runtime_env}


def _shown(
    application: Mapping[str, Any], wanted: Mapping[str, str], overlay: Sequence[str]
) -> dict[str, str]:
    """What Ray itself must know: where to import from, and what changes how programs run."""
    shown = {name: value for name, value in wanted.items() if changes_programs(name)}
    if (application.get("runtime_env") or {}).get("py_modules") or overlay:
        paths = [*import_paths(application), *overlay, shown.get("PYTHONPATH")]
        shown["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return shown


def _hidden(wanted: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str | None]:
    """What a worker must set, or must not have, although the host's own environment says otherwise."""
    own = {name: value for name, value in wanted.items() if not changes_programs(name)}
    differing = {name: value for name, value in own.items() if inherited.get(name) != value}
    return {**differing, **{name: None for name in inherited if name not in own}}


def _launcher(variables: Path, py_executable: str | None) -> str:
    """A shell command, since that is what Ray makes of ``py_executable``."""
    words = [sys.executable, "-I", "-S", str(_LAUNCHER), str(variables)]
    return f"{shlex.join(words)} {py_executable or shlex.quote(sys.executable)}"


def validated(apps: Sequence[Mapping[str, Any]], capacity: int = 100) -> Any:
    """Let Serve refuse what it does not take before anything is started.

    With less ``capacity`` than 100 percent, each deployment has that share of its replicas, rounded and at least
    one; the bounds between which others scale by themselves shrink alike.
    """
    from ray.serve.schema import ServeDeploySchema

    config = {"applications": list(apps)}
    try:
        return ServeDeploySchema.model_validate(
            config | ({"target_capacity": capacity} if capacity < 100 else {})
        )
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise PlaneError(f"Ray Serve does not take these applications: {'; '.join(faults)}") from None
