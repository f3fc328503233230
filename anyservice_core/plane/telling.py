"""What the plane says while it runs: each event of the record as a line, whoever caused it."""

from __future__ import annotations

import logging
import os
from typing import Final

from anyservice_core.plane.store import Event, Store

__all__ = ["Teller", "log_to_stderr"]

log = logging.getLogger(__name__)
_LOUD: Final = ("UNHEALTHY", "SYSTEM_FAILURE", "ROLLING_BACK")


class Teller:
    """Logs what was noted since it last looked; what was noted before it came is old."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen = store.newest_event()

    def tell(self) -> None:
        for event in self._store.events_after(self._seen):
            service = self._store.service(event.service_id)
            log.log(_level(event), "%s: %s", service.name if service else event.service_id, event.message)
            self._seen = event.number


def _level(event: Event) -> int:
    """A state that somebody should look into, or a host that could not begin, is a warning."""
    state = event.message.partition(":")[0].rpartition(" ")[2]
    return logging.WARNING if event.kind == "fail" or state in _LOUD else logging.INFO


def log_to_stderr() -> None:
    """Let what this package says go to stderr, with the time unless systemd's journal adds that."""
    time = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(format=f"{time}%(levelname)-7s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("anyservice_core").setLevel(logging.INFO)
