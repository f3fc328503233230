"""Where what is told lies: the plane's own log, the router's, those of hosts, and those of applications.

A host's log outlives its host. What replicas of a Ray cluster say is in files of the cluster's own, which go with it:
Serve's log of each replica, and what the code in it prints, in the files of the worker that it runs in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines.base import split_host_id
from anyservice_core.plane.router.access import access_log
from anyservice_core.plane.state import Service, Version
from anyservice_core.plane.store import Store

__all__ = ["Log", "logs_of", "plane_log", "requests_log", "versions"]

_ACTOR: Final = re.compile(r":actor_name:ServeReplica:(?P<application>[^:\n]+):(?P<deployment>[^:\n]+)")
_HEAD: Final = 4096
_HINT: Final = "`anyservice plane status` shows them."


class Log(NamedTuple):
    """A file, and what is to be said before its lines where there are several. Only lines with a word of ``only`` count, if any."""

    label: str
    path: Path
    only: tuple[str, ...] = ()


def plane_log(state_dir: Path) -> Log:
    """What a detached plane says."""
    return Log("plane", state_dir / "plane.log")


def requests_log(state_dir: Path, *, service: str | None = None) -> Log:
    """The router's log of requests: to all services, or to those of this name.

    Raises:
        PlaneError: there is no such service; with those that there are.
    """
    ids = () if service is None else tuple(one.id for one in _called(state_dir, service))
    return Log("router", access_log(state_dir), ids)


def versions(state_dir: Path, *, service: str | None = None, version: str | None = None) -> list[Version]:
    """Find the versions that are meant, by a service's name, and a version's name or id.

    Raises:
        PlaneError: there is none; with those that there are.
    """
    services = _services(state_dir) if service is None else _called(state_dir, service)
    every = [found for one in services for found in one.versions]
    found = [one for one in every if version in {None, one.name, one.id}]
    if not found and version and _folders(state_dir, version):  # ended, and forgotten but for its log
        return [Version(id=version, name=version, created_at=0.0, spec={}, engine="")]
    if not found:
        known = ", ".join(sorted({one.name for one in every})) or "none"
        raise PlaneError(f"there is no version '{version or ''}'; there is {known}.", hint=_HINT)
    return found


def _called(state_dir: Path, name: str) -> list[Service]:
    every = _services(state_dir)
    found = [one for one in every if one.name == name]
    if not found:
        known = ", ".join(one.name for one in every) or "none"
        raise PlaneError(f"there is no service '{name}'; there is {known}.", hint=_HINT)
    return found


def _services(state_dir: Path) -> list[Service]:
    path = state_dir / "plane.db"
    if not path.exists():
        return []
    with closing(Store(path)) as store:
        return store.services()


def logs_of(state_dir: Path, version: Version, *, application: str | None = None) -> list[Log]:
    """Give the logs of a version, or of one of its applications, those that changed last at the end.

    Raises:
        PlaneError: it has no such application; with those that it has.
    """
    names = _applications(version)
    if application is not None and names and application not in names:
        raise PlaneError(
            f"version '{version.name}' has no application '{application}', but {', '.join(names)}."
        )
    folders = _folders(state_dir, version.id)
    every = [found for folder in folders for found in _replicas(version, folder, names)]
    replicas = [log for name, log in every if application in {None, name}]
    apart = application is not None and replicas
    hosts = [] if apart else [Log(version.name, folder / "host.log") for folder in folders]
    found = [log for log in (*hosts, *replicas) if log.path.exists()]
    return sorted(found, key=lambda log: log.path.stat().st_mtime)


def _applications(version: Version) -> list[str]:
    specs = (version.spec, version.wanted)
    found = [app for spec in specs for app in spec.get("ray_serve_config", {}).get("applications", [])]
    return list(dict.fromkeys(str(app.get("name") or "default") for app in found))


def _folders(state_dir: Path, version_id: str) -> list[Path]:
    """The folder of each host that the version has or had: one for each update in place."""
    hosts = state_dir / "hosts"
    found = hosts.iterdir() if hosts.is_dir() else ()
    return [folder for folder in found if split_host_id(folder.name)[0] == version_id]


def _replicas(version: Version, folder: Path, names: list[str]) -> Iterable[tuple[str, Log]]:
    """Give the logs of replicas, each with its application's name."""
    logs = folder / "ray-logs"
    for path in logs.glob("serve/replica_*.log"):
        whose = path.stem.removeprefix("replica_").rpartition("_")[0]
        name = next((name for name in names if whose.startswith(f"{name}_")), whose.partition("_")[0])
        yield name, Log(f"{version.name} {name}/{whose[len(name) + 1 :]}", path)
    for path in (*logs.glob("worker-*.out"), *logs.glob("worker-*.err")):
        if match := _ACTOR.search(_head(path)):
            yield (
                match["application"],
                Log(f"{version.name} {match['application']}/{match['deployment']}", path),
            )


def _head(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD).decode(errors="replace")
    except OSError:
        return ""
