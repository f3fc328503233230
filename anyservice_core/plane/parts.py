"""What a plane is put together from, and how one part hears of another. ``daemon`` runs them."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from anyservice_core.errors import PlaneError
from anyservice_core.plane.api import Api
from anyservice_core.plane.app import application
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.dashboard.history import History
from anyservice_core.plane.dashboard.pages import Dashboard
from anyservice_core.plane.engines.base import Engine
from anyservice_core.plane.listening import Door, beyond, open_beside, quiet
from anyservice_core.plane.loop import Loop
from anyservice_core.plane.ports import is_free
from anyservice_core.plane.room import Room
from anyservice_core.plane.router import Router
from anyservice_core.plane.run_dir import run_dir
from anyservice_core.plane.store import Store

if TYPE_CHECKING:
    from anyservice_core.plane.daemon import PlaneSettings

__all__ = ["api", "beside", "loop", "server"]


def api(settings: PlaneSettings, store: Store, bundles: Bundles, token: str, wake: threading.Event) -> Api:
    """Make what answers requests; what they change wakes the loop."""
    return Api(
        store=store,
        bundles=bundles,
        token=token,
        clock=time.time,
        engine=settings.engine,
        pick_port=lambda taken: _free_port(settings.first_service_port, taken),
        on_change=wake.set,
        check_room=Room(settings.state_dir, settings.least_disk, settings.least_memory).check,
    )


def loop(settings: PlaneSettings, store: Store, bundles: Bundles, every: dict[str, Engine]) -> Loop:
    """Make what brings about what was asked for."""
    state_dir = settings.state_dir
    return Loop(
        store,
        bundles,
        engines=every,
        router=Router(
            state_dir, run_dir(state_dir), settings.gateway_port or settings.first_service_port - 1
        ),
        clock=time.time,
        options=settings.options,
        beyond=beyond(settings.listen, state_dir / "router"),
    )


def server(api: Api, history: History) -> uvicorn.Server:
    """Make the server for this machine, which has the dashboard as well."""
    dashboard = Dashboard(api, history, ending=lambda: made.should_exit)
    made = uvicorn.Server(uvicorn.Config(application(api, dashboard.routes()), **quiet()))
    return made


def beside(api: Api, door: Door | None, port: int) -> contextlib.AbstractContextManager[object]:
    """Listen for other machines as well for as long as the context lasts, if there is a door for them."""
    return open_beside(application(api, beyond=True), door, port) if door else contextlib.nullcontext()


def _free_port(first: int, taken: set[int]) -> int:
    """Find a port for a service: not given to another one, and nothing listening."""
    last = min(first + 10_000, 65_536) - 1
    for port in range(first, last + 1):
        if port not in taken and is_free(port):
            return port
    raise PlaneError(
        f"no free port for a service in {first}-{last}.",
        hint="Delete services that are not needed any more: those that ended keep their ports.",
    )
