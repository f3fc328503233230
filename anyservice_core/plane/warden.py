"""Ends a version's host that holds more memory than a version may, before the kernel ends whom it likes.

What counts is what all processes of the host hold together, what they share with others being shared out (PSS). Such
a host is killed, since one that is out of hand would not end soon when asked; the record says why, and the loop starts
it again as any that dies, until it has died so often that the version is given up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from anyservice_core.plane.engines.base import split_host_id
from anyservice_core.plane.engines.hostdir import HostDir
from anyservice_core.plane.engines.hosts import session_of
from anyservice_core.plane.engines.procfs import held_bytes
from anyservice_core.plane.engines.sessions import Session
from anyservice_core.plane.room import spelled
from anyservice_core.plane.store import Event, Store

__all__ = ["Warden"]

EVERY_S = 2.0


class Warden:
    """Looks at the hosts under ``state_dir`` every two seconds; ``limit`` is in bytes, and 0 is none."""

    def __init__(
        self, store: Store, state_dir: Path, limit: int, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._hosts = state_dir / "hosts"
        self._limit = limit
        self._clock = clock
        self._looked = 0.0

    def look(self) -> None:
        if not self._limit or self._clock() - self._looked < EVERY_S:
            return
        self._looked = self._clock()
        for host, session in self._running():
            held = sum(held_bytes(stat.pid) for stat in session.members())
            if held > self._limit:
                session.kill()
                self._note(host, held)

    def _running(self) -> Iterator[tuple[str, Session]]:
        for folder in self._hosts.iterdir() if self._hosts.is_dir() else ():
            session = session_of(HostDir(folder))
            if session is not None and session.leader_alive():
                yield folder.name, session

    def _note(self, host: str, held: int) -> None:
        version_id = split_host_id(host)[0]
        for service in self._store.living():
            for version in (one for one in service.versions if one.id == version_id):
                why = (
                    f"{version.name} held {spelled(held)} of memory, and a version may have {spelled(self._limit)}:"
                    " its host was ended"
                )
                self._store.note(Event(service.id, self._clock(), "fail", why, version_id))
