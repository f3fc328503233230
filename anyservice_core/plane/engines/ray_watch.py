"""What a Ray host does once its cluster is up: deploy what is wanted, look at what became of it, say so.

Which generations are wanted is in the host's folder, so there is no order that a crash could lose. A
further one is prepared in a thread of its own, since requirements may take minutes to install, and then joins the
fleet (``ray_fleet``).
"""

from __future__ import annotations

import json
import threading
import time
import traceback
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anyservice_core.errors import AnyserviceError, PlaneError

from .base import EngineState, VersionSpec
from .essence import essence
from .host import Host
from .ray_config import Variables, applications, validated
from .ray_fleet import Fleet, at_rest, configuration, look, settled, standing, want
from .ray_status import AppReport
from .surroundings import requirements_of, route_prefixes, shared_variables

__all__ = ["Watch", "prepare"]

TICK_S = 0.25
POLL_AT_REST_S = 2.0  # each poll costs the cluster some milliseconds of a core
SILENT_POLLS = 3
STALE_S = 30.0  # a poll that takes longer hangs
ROUTES_S = 10.0  # a proxy that is asked more than it can answer lets us wait as well

Apps = Sequence[Mapping[str, Any]]


def prepare(host: Host, generation: int) -> list[dict[str, Any]]:
    """Install what a generation requires, and give its applications as Serve takes them.

    Raises ``PlaneError`` for requirements that cannot be installed and settings that Serve refuses.
    """
    folder = host.folder.of(generation)
    spec = VersionSpec.from_dict((folder.read("spec") or {})["version"])
    route_prefixes(spec.applications)

    def hide(number: int, variables: Variables) -> Path:
        return folder.write(f"variables-{generation}-{number}", variables)

    required = [requirements_of(app.get("runtime_env") or {}) for app in spec.applications]
    overlays = [host.overlay(requirements, generation=generation) for requirements in required]
    inherited = shared_variables(host.spec.applications, cautious=True)
    apps = applications(spec, overlays, inherited=inherited, hide=hide)
    validated(apps)
    return apps


class Watch:
    """Keeps the cluster's applications as they are wanted, until asked to stop, which raises.

    Raises ``PlaneError`` when nothing that is wanted will come up.
    """

    def __init__(self, host: Host, client: Any, address: tuple[str, int], apps: Apps) -> None:
        self._host = host
        self._client = client
        self._address = address
        self._prepared: dict[int, Apps] = {host.generation: apps}
        self._known = {host.generation}
        self._failed: dict[int, str] = {}
        self._fleet = Fleet()
        self._deployed: list[dict[str, Any]] = []
        self._capacity = 0  # what Serve was told with them
        self._silent = 0
        host.capacity = (self._wanted_capacity(),) * 2

    def forever(self) -> None:
        self._host.stale_after_s = STALE_S
        polled_at = 0.0
        while True:
            changed = self._want() or self._deploy()
            resting = at_rest(self._fleet) and self._host.capacity == (self._capacity, self._capacity)
            if changed or not resting or time.monotonic() - polled_at > POLL_AT_REST_S:
                polled_at = time.monotonic()
                self._poll()
            time.sleep(TICK_S)

    # ── what is wanted ──

    def _want(self) -> bool:
        """Take note of generations that came and went; say whether any did."""
        wanted = set(self._host.folder.generations())
        if not wanted or wanted == self._known:  # none: we are being buried
            return False
        for generation in wanted - self._known:
            threading.Thread(target=self._prepare, args=(generation,), daemon=True).start()
        for generation in self._known - wanted:
            self._prepared.pop(generation, None)
            self._failed.pop(generation, None)
        self._known = wanted
        return True

    def _prepare(self, generation: int) -> None:
        try:
            self._prepared[generation] = prepare(self._host, generation)
        except AnyserviceError as error:
            self._give_up(generation, str(error))
        except Exception:  # noqa: BLE001  whatever it is, the generation that serves shall not suffer
            self._give_up(generation, essence(traceback.format_exc()))

    def _give_up(self, generation: int, why: str) -> None:
        """Tell why a generation will not come up; of the last one that the host was started for, its end tells."""
        self._failed[generation] = why
        if generation != self._host.generation or self._known - set(self._failed):
            self._host.fail(why, generation=generation)

    def _deploy(self) -> bool:
        """Let Serve have the applications that the fleet shall have; say whether they are others than before."""
        prepared = {n: apps for n, apps in list(self._prepared.items()) if n in self._known}
        self._fleet = want(self._fleet, prepared)
        apps, capacity = configuration(self._fleet), self._wanted_capacity()
        if (apps, capacity) == (self._deployed, self._capacity):
            return False
        if known := self._host.capacity:
            self._host.capacity = (min(*known, capacity), max(*known, capacity))
        try:
            self._client.deploy_apps(validated(apps, capacity))
        except Exception as error:
            if not self._deployed:
                raise
            self._miss(error)
            return False
        self._deployed, self._capacity = apps, capacity
        return True

    def _wanted_capacity(self) -> int:
        told = self._host.folder.read("capacity") or {}
        return int(told.get("percent", self._host.spec.capacity))

    # ── what there is ──

    def _poll(self) -> None:
        try:
            reports = _ask_serve()
            routes = _routes(self._address)
        except Exception as error:  # noqa: BLE001  whatever it is, the next poll may work
            self._miss(error)
            return
        self._silent = 0
        self._fleet, hopeless = look(self._fleet, reports, routes)
        if settled(self._fleet, reports):
            self._host.capacity = (self._capacity, self._capacity)
        for generation, why in hopeless.items():
            self._give_up(generation, why)
        self._want()  # one that was asked for just now may mend what failed
        if self._known <= set(self._failed):
            raise PlaneError(self._failed[max(self._known)])
        for generation in self._known - set(self._failed):
            self._tell(generation)
        self._deploy()

    def _tell(self, generation: int) -> None:
        if generation not in self._prepared:
            return  # its preparation speaks for itself
        state, message = standing(self._fleet, generation)
        if state is EngineState.RUNNING:
            self._host.ready(self._address, generation=generation)
        else:
            self._host.report(state, message, generation=generation)

    def _miss(self, error: Exception) -> None:
        self._silent += 1
        if self._silent >= SILENT_POLLS:
            for generation in self._known:
                message = f"Serve's controller does not answer: {error}"
                self._host.report(EngineState.UNHEALTHY, message, generation=generation)


def _ask_serve() -> dict[str, AppReport]:
    from ray import serve as ray_serve

    return {
        name: AppReport(
            status=str(app.status.value),
            message=app.message,
            deployments=tuple(d.message for d in app.deployments.values() if d.status.value != "HEALTHY"),
            names=tuple(app.deployments),
        )
        for name, app in ray_serve.status().applications.items()
    }


def _routes(address: tuple[str, int]) -> dict[str, str]:
    """Which application the proxy sends which prefix to; RUNNING ones may be unknown to it for a moment."""
    try:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/-/routes", timeout=ROUTES_S) as reply:
            return dict(json.load(reply))
    except (OSError, ValueError):
        return {}
