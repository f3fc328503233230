"""The dashboard's live feed: the state as a server-sent event whenever it is another."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import anyio
from anyio import to_thread

from anyservice_core.errors import NotFoundError

__all__ = ["LOOK_S", "feed"]

LOOK_S: Final = 1.0
_PAUSE_S: Final = 0.25
_BEAT_S: Final = 15.0


async def feed(
    read: Callable[[], dict[str, Any]],
    ending: Callable[[], bool],
    pause: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> AsyncIterator[str]:
    """Give the state now and whenever it has changed, looking every ``LOOK_S`` seconds, until the plane ends.

    While nothing changes, a comment now and then keeps whatever is in between from giving up. A service
    that is deleted meanwhile ends the feed with the event ``gone``.

    Args:
        read: gives the state; called in a thread.
        ending: says whether the plane is about to stop. The feed must be over by then: the server waits for it.
    """
    said, quiet = "", 0.0
    while not ending():
        try:
            now = json.dumps(await to_thread.run_sync(read), separators=(",", ":"))
        except NotFoundError:
            yield "event: gone\ndata: {}\n\n"
            return
        if now != said:
            said, quiet = now, 0.0
            yield f"data: {now}\n\n"
        elif quiet >= _BEAT_S:
            quiet = 0.0
            yield ": still here\n\n"
        for _ in range(round(LOOK_S / _PAUSE_S)):
            if not ending():
                await pause(_PAUSE_S)
        quiet += LOOK_S
