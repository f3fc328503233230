"""What applications ask of the process they run in: folder, import paths, variables, requirements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyservice_core.errors import PlaneError

__all__ = [
    "Surroundings",
    "changes_programs",
    "import_paths",
    "one_for_all",
    "requirements_of",
    "route_prefixes",
    "shared_variables",
]

Applications = Sequence[Mapping[str, Any]]

# They change how an interpreter itself starts, so only the user's own process may have them.
_NOT_FOR_OTHERS = ("PYTHON", "LD_", "RAY_", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Surroundings:
    """What one process can offer to all applications in it."""

    working_dir: Path | None
    paths: tuple[str, ...]
    requirements: tuple[str, ...]


def shared_variables(applications: Applications, *, cautious: bool) -> dict[str, str]:
    """Return the variables that all applications want with the same value.

    ``cautious`` leaves out those that would change how other programs around them run.
    """
    environments = [_runtime_env(application).get("env_vars") or {} for application in applications]
    first = environments[0] if environments else {}
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in environments)
        and not (cautious and changes_programs(name))
    }


def changes_programs(name: str) -> bool:
    """Whether an environment variable of this name changes how an interpreter or a program starts."""
    return name.startswith(_NOT_FOR_OTHERS)


def import_paths(application: Mapping[str, Any]) -> list[str]:
    """Return the folders to import from: its working_dir, then those that hold its py_modules."""
    runtime_env = _runtime_env(application)
    folders = [Path(folder) for folder in runtime_env.get("py_modules") or []]
    holders = [folder.parent if (folder / "__init__.py").exists() else folder for folder in folders]
    working_dir = runtime_env.get("working_dir")
    return [*([str(working_dir)] if working_dir else []), *map(str, holders)]


def one_for_all(applications: Applications) -> Surroundings:
    """Find surroundings that suit every application; ``PlaneError`` where they want different ones."""
    runtime_envs = [_runtime_env(application) for application in applications]
    for field in ("working_dir", "env_vars", "pip", "py_executable"):
        _agree(field, [runtime_env.get(field) or None for runtime_env in runtime_envs])
    first = runtime_envs[0]
    if first.get("py_executable"):
        raise PlaneError(
            f"py_executable {first['py_executable']!r}: the process engine runs on the plane's own Python.",
            hint="Leave it out, or use --engine ray.",
        )
    paths = [path for application in applications for path in import_paths(application)]
    working_dir = first.get("working_dir")
    return Surroundings(
        working_dir=Path(working_dir) if working_dir else None,
        paths=tuple(dict.fromkeys(paths)),
        requirements=requirements_of(first),
    )


def route_prefixes(applications: Applications) -> list[str]:
    """Return where each application is mounted, by Serve's rules; one with a ``null`` prefix is not."""
    prefixes = [app.get("route_prefix", "/") for app in applications]
    routed = [str(prefix) for prefix in prefixes if prefix is not None]
    for prefix in routed:
        if not prefix.startswith("/") or (prefix != "/" and prefix.endswith("/")):
            raise PlaneError(f"route_prefix {prefix!r} must begin with '/' and not end with one.")
        if routed.count(prefix) > 1:
            raise PlaneError(
                f"route_prefix {prefix!r} is given to {routed.count(prefix)} applications.",
                hint="Give each its own.",
            )
    return routed


def requirements_of(runtime_env: Mapping[str, Any]) -> tuple[str, ...]:
    """Read ``pip`` in either of its forms, a list or ``{"packages": [...]}``."""
    pip = runtime_env.get("pip") or runtime_env.get("uv") or []
    packages = pip.get("packages", []) if isinstance(pip, Mapping) else pip
    return tuple(sorted(str(package) for package in packages))


def _runtime_env(application: Mapping[str, Any]) -> Mapping[str, Any]:
    return application.get("runtime_env") or {}


def _agree(field: str, values: Sequence[Any]) -> None:
    if any(value != values[0] for value in values):
        raise PlaneError(
            f"runtime_env.{field} differs between the applications, and the process engine runs them in one process.",
            hint="Give them the same, or use --engine ray.",
        )
