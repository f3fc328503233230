"""Who runs a rollout: a lock that the system takes away with the process, and a note of whose it is."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Self

from anyservice_core.ledger.files import read

__all__ = ["Holder", "RunLock"]

# Whoever asks who holds the lock has it for an instant, and must not be taken for a rollout.
_TRIES = 10
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that runs a rollout. ``since``: seconds since the epoch; ``version`` once it is known."""

    pid: int
    host: str
    since: float
    version: str = ""

    @classmethod
    def of_this_process(cls) -> Holder:
        return cls(os.getpid(), socket.gethostname(), time.time())

    @classmethod
    def read(cls, content: Any) -> Holder | None:
        """What a lock file says; ``None`` where it says nothing of use."""
        try:
            return cls(int(content["pid"]), str(content["host"]), float(content["since"]), content["version"])
        except (KeyError, TypeError, ValueError):
            return None

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        """For people."""
        since = datetime.fromtimestamp(self.since, UTC)
        return f"process {self.pid} on {self.host}, since {since:%Y-%m-%d %H:%M} UTC"


class RunLock:
    """One rollout of a service at a time, on this machine: held while a process lives, gone when it is killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIOWrapper | None = None

    def take(self, *, wait: Callable[[Holder | None], None] | None = None) -> bool:
        """Take it; with ``wait``, which is told of the holder, as soon as it is free. Whether it was had."""
        file = open(self.path, "a+", encoding="utf-8", opener=_private)  # noqa: SIM115  # no opener in pathlib
        try:
            had = _had(file)
            if not had and wait is not None:
                wait(self.holder())
                fcntl.flock(file, fcntl.LOCK_EX)
                had = True
        except BaseException:
            file.close()
            raise
        if not had:
            file.close()
            return False
        self._file = file
        self.sign()
        return True

    def sign(self, version: str = "") -> None:
        """Write down whose it is; ``version`` is what it runs. A note only: a full disk does no harm."""
        if self._file is None:
            return
        known = self._noted() if version else None
        mine = known or Holder.of_this_process()
        with suppress(OSError):
            self._file.truncate(0)
            self._file.write(json.dumps({**mine.to_dict(), "version": version}))
            self._file.flush()

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            with suppress(OSError):
                self._file.truncate(0)
            self._file.close()
            self._file = None

    def holder(self) -> Holder | None:
        """Who has it now, if anyone."""
        noted = self._noted()  # a lock that was given back is empty, and need not be tried
        return noted if noted and self._is_taken() else None

    def _is_taken(self) -> bool:
        try:
            with self.path.open("r", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _noted(self) -> Holder | None:
        return Holder.read(read(self.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _had(file: TextIOWrapper) -> bool:
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_PAUSE_S)
    return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
