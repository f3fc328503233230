"""Writing to Prefect what no rollout has to wait for, its pictures and its memory, in threads of their own.

A rollout that moves fast, and hundreds of them in one process, would write the same artifact many times a second. So
what is to be written is put under a name, and of each name the latest is written, once a second. And where Prefect's
API is slow or away, a rollout goes on watching its canary all the same.

The end of a rollout waits until what is its own has been written, for a while. A process that is killed takes its
last second with it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable
from contextvars import copy_context
from typing import Final, TypeAlias

__all__ = ["Scribe", "scribe"]

EVERY_S: Final = 1.0
# More of them would only stand in each other's way on SQLite, and one alone is slow where the API is far.
_HANDS: Final = 4

Name: TypeAlias = tuple[Hashable, str]
Write: TypeAlias = Callable[[], None]


class Scribe:
    """Writes the latest of each name, at most once in ``every_s`` seconds, and never two of a name at a time."""

    def __init__(self, hands: int = _HANDS, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._waiting: dict[Name, Write] = {}
        self._at_work: set[Name] = set()
        self._last: dict[Name, float] = {}
        self._hurried: list[Hashable] = []
        self._news = threading.Condition()
        for number in range(hands):
            threading.Thread(target=self._work, name=f"anyservice-scribe-{number}", daemon=True).start()

    def put(self, owner: Hashable, name: str, write: Write) -> None:
        """Have ``write`` called soon, in the present flow run; of several under one name of an owner, the latest.

        It must not raise.
        """
        context = copy_context()
        with self._news:
            self._waiting[owner, name] = lambda: context.run(write)
            self._news.notify()

    def finish(self, owner: Hashable, timeout_s: float) -> bool:
        """Wait until all that is this owner's has been written, at most so long; says whether it has."""
        with self._news:
            self._hurried.append(owner)
            self._news.notify_all()
            try:
                return self._news.wait_for(lambda: not self._owes(owner), timeout_s)
            finally:
                self._hurried.remove(owner)
                self._last = {name: at for name, at in self._last.items() if name[0] != owner}

    def _owes(self, owner: Hashable) -> bool:
        return any(name[0] == owner for name in (*self._waiting, *self._at_work))

    # ── the threads ──

    def _work(self) -> None:
        while True:
            name, write = self._take()
            try:
                write()
            finally:
                self._put_down(name)

    def _take(self) -> tuple[Name, Write]:
        with self._news:
            while (name := self._next()) is None or (pause_s := self._due(name) - time.monotonic()) > 0:
                self._news.wait(None if name is None else pause_s)
            self._at_work.add(name)
            return name, self._waiting.pop(name)

    def _put_down(self, name: Name) -> None:
        with self._news:
            self._at_work.remove(name)
            self._last[name] = time.monotonic()
            self._news.notify_all()

    def _next(self) -> Name | None:
        return min((name for name in self._waiting if name not in self._at_work), key=self._due, default=None)

    def _due(self, name: Name) -> float:
        return 0.0 if name[0] in self._hurried else self._last.get(name, 0.0) + self._every_s


_LOCK: Final = threading.Lock()
_SCRIBES: Final[dict[int, Scribe]] = {}


def scribe() -> Scribe:
    """Give the scribe of this process."""
    with _LOCK:
        if os.getpid() not in _SCRIBES:  # threads do not come along with a fork
            _SCRIBES[os.getpid()] = Scribe()
        return _SCRIBES[os.getpid()]
