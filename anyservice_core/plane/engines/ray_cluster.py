"""The default engine: a private Ray cluster running Ray Serve for each version.

That is what a version is on Anyscale, too: real replicas, health checks, autoscaling and
``runtime_env``, and nothing shared between a canary and its primary.

A further generation of a version gets no cluster of its own: where that of an earlier one lives, it is
written down there, and the host brings it up beside what runs (``ray_fleet``).
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyservice_core.errors import PlaneError

from .base import EngineState, Observed, VersionSpec, host_id, split_host_id
from .hostdir import HostDir
from .hosts import HostEngine, session_of
from .surroundings import shared_variables

__all__ = ["RayEngine"]


class RayEngine(HostEngine):
    """``num_cpus`` is what each cluster believes to have: bookkeeping for Ray's scheduler, not a limit.

    By default at least 16, so that an application of several deployments at Serve's default of one
    CPU each starts on a small machine, too, and twice while it is updated in place.
    """

    name = "ray"
    host_module = "anyservice_core.plane.engines.ray_host"
    kill_after_s = 30.0

    def __init__(
        self,
        state_dir: Path,
        run_dir: Path,
        *,
        python: str = sys.executable,
        num_cpus: int | None = None,
        start_deadline_s: float = 300.0,
    ) -> None:
        super().__init__(state_dir, run_dir, python=python, start_deadline_s=start_deadline_s)
        self._num_cpus = num_cpus or 2 * max(8, os.cpu_count() or 1)

    def check(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise PlaneError(
                "Ray is not installed.", hint="pip install 'anyservice[local]', or use --engine process."
            )

    def start(self, spec: VersionSpec) -> None:
        host = self._dir(spec.version_id)
        if _lives(host):
            if host.read("spec") is None:
                host.write("spec", self._written(spec))
        else:
            super().start(spec)

    def scale(self, version_id: str, percent: int) -> None:
        host = self._dir(version_id)
        if _lives(host) and (host.read("capacity") or {}).get("percent") != percent:
            host.write("capacity", {"percent": percent})

    def stop(self, version_id: str) -> None:
        host = self._dir(version_id)
        if set(host.generations()) - {host.generation}:
            host.forget()  # the host sees it and takes the applications down; the cluster stays
            self._last.pop(version_id, None)
        else:
            super().stop(version_id)

    def known(self) -> set[str]:
        folders = {name: HostDir(self._hosts / name).generations() for name in super().known()}
        return {host_id(name, number) for name, numbers in folders.items() for number in numbers or [1]}

    def _observe(self, version_id: str) -> Observed:
        host = self._dir(version_id)
        others = host.generations()
        if others and host.generation not in others:
            return Observed(EngineState.GONE, message="nothing runs")
        return _about_to_scale(super()._observe(version_id), host)

    def _dir(self, version_id: str) -> HostDir:
        name, generation = split_host_id(version_id)
        return super()._dir(name).of(generation)

    def _short(self, version_id: str) -> str:
        return super()._short(split_host_id(version_id)[0])

    def host_options(self, version_id: str) -> Mapping[str, Any]:
        return {"num_cpus": self._num_cpus, "temp_dir": str(self._make_temp_dir(version_id))}

    def host_variables(self, spec: VersionSpec) -> Mapping[str, str]:
        return {
            **shared_variables(spec.applications, cautious=True),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),  # else Ray writes one to the home folder
            "RAY_USAGE_STATS_ENABLED": "0",
            # Proxy and replicas are workers, which Ray makes give way to every other process of the machine (15). They
            # are whom users wait for, and what starts beside them is not that meek.
            "RAY_worker_niceness": os.environ.get("RAY_worker_niceness", "0"),  # noqa: SIM112  so Ray spells it
            # A worker that starts keeps a core busy for two seconds. One core is for those who are served meanwhile.
            "RAY_worker_maximum_startup_concurrency": str(max(1, (os.cpu_count() or 1) - 1)),
        }

    def clean(self, version_id: str) -> None:
        path = self._temp_dir(version_id)
        if _is_my_folder(path):
            shutil.rmtree(path, ignore_errors=True)

    def _temp_dir(self, version_id: str) -> Path:
        """Ray puts Unix sockets some 60 bytes deep below it, so it cannot be under the state directory."""
        return Path("/tmp") / f"asv-{self._short(version_id)}"  # noqa: S108  made 0700 and checked

    def _make_temp_dir(self, version_id: str) -> Path:
        path = self._temp_dir(version_id)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            if not _is_my_folder(path):
                raise PlaneError(
                    f"{path} belongs to somebody else, and Ray needs it.", hint="Remove it."
                ) from None
        return path


def _lives(host: HostDir) -> bool:
    """Whether there is a cluster that takes another generation."""
    session = session_of(host)
    return session is not None and session.leader_alive() and host.read("stopping") is None


def _about_to_scale(observed: Observed, host: HostDir) -> Observed:
    """Count what the host was asked for as well, which it may not know yet."""
    asked = (host.read("capacity") or {}).get("percent")
    if observed.capacity is None or asked is None:
        return observed
    least, most = observed.capacity
    return replace(observed, capacity=(min(least, asked), max(most, asked)))


def _is_my_folder(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
