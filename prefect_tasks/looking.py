"""Asking Prefect what people have said, without waiting for it longer than a rollout can.

Prefect's client tries again for a minute where the server is away. Meanwhile the canary has to be watched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Final

__all__ = ["PATIENCE_S", "Looking"]

PATIENCE_S: Final = 2.0


class Looking:
    """Looks in a thread of its own, one look at a time.

    Args:
        look: what to do; it must not raise.
        patience_s: how long who asks for a look waits for it.
    """

    def __init__(self, look: Callable[[], None], patience_s: float = PATIENCE_S) -> None:
        self._look = look
        self._patience_s = patience_s
        self._idle = threading.Event()
        self._idle.set()

    def look(self) -> None:
        """Look, or wait a while for the look that is under way; what it finds late is there at a later one."""
        if self._idle.is_set():
            self._idle.clear()
            context = copy_context()
            threading.Thread(
                target=lambda: context.run(self._once), name="anyservice-look", daemon=True
            ).start()
        self.finish(self._patience_s)

    def finish(self, timeout_s: float) -> bool:
        """Wait until no look is under way, at most so long; says whether none is."""
        return self._idle.wait(timeout_s)

    def _once(self) -> None:
        try:
            self._look()
        finally:
            self._idle.set()
