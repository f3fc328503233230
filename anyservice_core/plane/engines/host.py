"""The part of a host process that does not depend on what it runs.

A host answers ``status`` and ``stop`` on its socket from the first moment, and leaves the reason on
disk when it cannot start. Asking to stop is a SIGTERM to itself: the main thread, wherever it is
(in the user's import, too), gets ``Stopped`` raised, or whatever handler its server put in place.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from anyservice_core.errors import AnyserviceError

from .base import EngineState, Observed, VersionSpec
from .control import ControlServer
from .essence import essence
from .hostdir import HostDir
from .overlay import overlay
from .sessions import MARK, Session

__all__ = ["Host", "OvertaxedError", "Stopped", "run"]


class Stopped(BaseException):
    """Raised in the main thread when a stop is asked for before the server runs."""


class OvertaxedError(Exception):
    """The machine was too busy to start a host in time: no fault of what it was to run, so another may be tried."""


class Host:
    """What a running host knows of itself and says when asked.

    It is started for one generation of a version; what is said and reported is of that one, unless
    another is named.
    """

    def __init__(self, folder: HostDir) -> None:
        self.generation = min(folder.generations(), default=1)
        self.folder = folder.of(self.generation)
        options = self.folder.read("spec") or {}
        self.options: Mapping[str, Any] = options
        self.spec = VersionSpec.from_dict(options["version"])
        self._status = {self.generation: Observed(EngineState.STARTING, message="starting its host")}
        self._control = ControlServer(Path(options["socket"]), {"status": self.status, "stop": self.stop})
        self._said_at = time.monotonic()
        self.stale_after_s = math.inf  # a host that polls sets it: then old news is bad news
        self.under_way: Callable[[], int | None] = lambda: None  # how many requests it is answering
        self.capacity: tuple[int, int] | None = None  # the percent of its replicas: the least and the most
        self.stopping = threading.Event()

    def listen(self) -> None:
        self._record()
        self._control.start()

    def close(self) -> None:
        self._control.close()

    def status(self, generation: int | None = None) -> Mapping[str, Any]:
        """Say how a generation is doing; nothing of one that was not heard of yet."""
        now = self._status.get(generation or self.generation)
        if now is None:
            return {}
        age_s = time.monotonic() - self._said_at
        if age_s > self.stale_after_s:
            now = Observed(EngineState.UNHEALTHY, now.address, f"its last check has hung for {age_s:.0f} s")
        known = {"state": now.state, "address": now.address, "message": now.message}
        return {**known, "under_way": self.under_way(), "capacity": self.capacity}

    def stop(self) -> Mapping[str, Any]:
        """Begin to end, once: Ray takes our handler away while it shuts down, and a second signal would cut that short."""
        if not self.stopping.is_set():
            self.stopping.set()
            os.kill(os.getpid(), signal.SIGTERM)
        return {"stopping": True}

    def report(self, state: EngineState, message: str = "", *, generation: int | None = None) -> None:
        number = generation or self.generation
        known = self._status.get(number)
        self._status[number] = Observed(state, known.address if known else None, message)
        self._said_at = time.monotonic()

    def ready(self, address: tuple[str, int], *, generation: int | None = None) -> None:
        """Say that it serves at ``address``."""
        number = generation or self.generation
        self.folder.of(number).write_once("ready", {"address": list(address)})
        self._status[number] = Observed(EngineState.RUNNING, address)
        self._said_at = time.monotonic()

    def overlay(self, requirements: Sequence[str], *, generation: int | None = None) -> list[str]:
        """Install ``requirements`` if need be; return the import path that has them, or nothing for none."""
        if not requirements:
            return []
        said = f"installing {len(requirements)} requirement(s)"
        self.report(EngineState.STARTING, said, generation=generation)
        return [str(overlay(requirements, Path(self.options["overlays"])))]

    def link(self, name: str, target: Path) -> None:
        """Let people find from the host's folder what must lie elsewhere."""
        with contextlib.suppress(OSError):
            (self.folder.path / name).symlink_to(target)

    def fail(self, message: str, *, generation: int | None = None) -> None:
        """Leave the reason for whoever asks, also after this process ended."""
        self.folder.of(generation or self.generation).write_once("failed", {"message": message})

    def _record(self) -> None:
        """Name ourselves on disk, for the case that the plane was killed before it could."""
        session = Session.of_leader(os.getpid(), os.environ.get(MARK, ""))
        common = {"engine": self.options["engine"], "socket": self.options["socket"]}
        record = {**common, "pid": os.getpid(), "started_at": time.time(), **session.to_dict()}
        if (self.folder.read("host") or {}).get("sid") != session.sid:
            self.folder.write("host", record)


def run(serve: Callable[[Host], None]) -> NoReturn:
    """Be a host: serve what the folder named last on the command line says, then end the process."""
    folder = HostDir(Path(sys.argv[-1]))
    sys.argv[1:] = []  # the user's code shall not take our arguments for its own
    host = Host(folder)
    signal.signal(signal.SIGTERM, _raise_stopped)
    host.listen()
    code = _serve(host, serve)
    host.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that the user's code left must not keep us


def _serve(host: Host, serve: Callable[[Host], None]) -> int:
    try:
        serve(host)
    except Stopped:
        return 0
    except OvertaxedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except AnyserviceError as error:
        return _give_up(host, str(error))
    except BaseException:  # noqa: BLE001  sys.exit() in the user's module is a failure, too
        text = traceback.format_exc()
        sys.stderr.write(text)
        return _give_up(host, essence(text))
    return 0


def _give_up(host: Host, message: str) -> int:
    if not host.stopping.is_set():  # what breaks while we stop is no news
        host.fail(message)
    return 1


def _raise_stopped(number: int, frame: FrameType | None) -> None:
    del number, frame
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the clean-up shall not be cut short
    raise Stopped
