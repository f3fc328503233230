"""The line of this process to Prefect's API: one client, which all threads share.

To make a client takes Prefect a tenth of a second, most of it for reading certificates, and the first thing that
each writes costs a request for a token. A process with hundreds of rollouts makes one.
"""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import ExitStack
from typing import Any, Final

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import get_current_settings

__all__ = ["line"]

_TIMEOUT_S: Final = 30.0
# Prefect's server lets a connection go that was idle for 5 seconds: we do before, or a write would meet a closed one.
_LIMITS: Final = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=4.0)
_BUSY: Final = 503
_FIRST_PAUSE_S: Final = 0.2

_LOCK: Final = threading.Lock()
_LINES: Final[dict[object, SyncPrefectClient]] = {}
_OPEN: Final = ExitStack()
atexit.register(_OPEN.close)


def line() -> SyncPrefectClient:
    """Give the client of this process for the API that the settings name. It stays open: do not use it in ``with``."""
    here = get_current_settings().api
    place = (os.getpid(), here.url, here.key and here.key.get_secret_value())
    with _LOCK:
        if place not in _LINES:
            # With settings of its own, or inside of a flow Prefect would give the one that ends with the flow.
            hooks = {"response": [_ask_again_soon]}
            own: dict[str, Any] = {"timeout": _TIMEOUT_S, "limits": _LIMITS, "event_hooks": hooks}
            client = get_client(httpx_settings=own, sync_client=True)
            _LINES[place] = _OPEN.enter_context(client)
        return _LINES[place]


def _ask_again_soon(response: httpx.Response) -> None:
    """Let Prefect's client try again in a moment where the server says that it is busy, and not for how long.

    On SQLite it does so whenever two write at once. Left to itself, the client then pauses for 2, 4, 8, 16 and 32
    seconds; so for 0.2, 0.4, 0.8, 1.6 and 3.2.
    """
    if response.status_code != _BUSY or "Retry-After" in response.headers:
        return
    tries: int = response.request.extensions.setdefault("anyservice_tries", 0)
    response.request.extensions["anyservice_tries"] = tries + 1
    response.headers["Retry-After"] = str(_FIRST_PAUSE_S * 2**tries)
