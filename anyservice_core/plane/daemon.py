"""The plane as a process: start, adopt what still runs, loop, stop.

One process a state directory, kept so by a lock on ``plane.lock``. What it started outlives it:
hosts and router are sessions of their own, so killing the plane, or stopping it with Ctrl-C, leaves
every service serving, and the next ``serve`` adopts them. Only ``control.down`` ends them all.

    <state_dir>/plane.json   where it listens and its token, for clients on this machine (mode 0600)
    <state_dir>/token        the token, the same over restarts (mode 0600)
    <state_dir>/plane.db     services, events, traffic totals
    <state_dir>/plane.log    what a detached plane says
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines import procfs
from anyservice_core.plane.engines.base import Engine
from anyservice_core.plane.listening import LOOPBACK, Door, listener
from anyservice_core.plane.room import LEAST_DISK
from anyservice_core.plane.router.haproxy import write_private
from anyservice_core.plane.run_dir import remove_run_dir, run_dir
from anyservice_core.plane.sight import LADDER, Options
from anyservice_core.plane.telling import log_to_stderr

__all__ = ["DEFAULT_PORT", "ENGINES", "PlaneSettings", "engines", "only_one", "serve"]

log = logging.getLogger(__name__)

DEFAULT_PORT = 8642
FIRST_SERVICE_PORT = 8700
ENGINES = ("ray", "process")
TICK_S = 0.25


@dataclass(frozen=True)
class PlaneSettings:
    """How to run a plane.

    Args:
        state_dir: where it keeps everything.
        port: where its API listens, on 127.0.0.1; 0 takes a free one.
        listen: a further address at which it and its services listen, on the same ports.
        engine: what runs new versions: ``ray``, a private Ray cluster each, or ``process``.
        first_service_port: services get this port and those above it.
        gateway_port: the port at which all services are reached, by host or by path, or one below it if it is taken; 0: the
            one below ``first_service_port``.
        ladder: the weights in percent of a rollout that nobody holds, rising, the last one 100.
        ladder_hold_s: how long it rests on each of them.
        rollout_limit_s: a rollout that takes longer is rolled back; 0: none is.
        sick_canary_s: so long may the canary of a rollout that nobody holds be UNHEALTHY.
        least_disk: so many bytes must be free where ``state_dir`` is for a deploy to be taken; 0: none.
        least_memory: so many bytes of memory must be free; ``None``: what a version on ``engine`` takes to start.
        version_memory: the host of a version that holds more bytes of memory is ended; 0: no limit.
        durable: whether a change is on the disk before it is answered, so that no loss of power undoes it.
    """

    state_dir: Path
    port: int = DEFAULT_PORT
    listen: Door | None = None
    engine: str = "ray"
    first_service_port: int = FIRST_SERVICE_PORT
    gateway_port: int = 0
    ladder: tuple[int, ...] = LADDER
    ladder_hold_s: float = 15.0
    rollout_limit_s: float = 7200.0
    sick_canary_s: float = 120.0
    least_disk: int = LEAST_DISK
    least_memory: int | None = None
    version_memory: int = 0
    durable: bool = False

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in pairwise((0, *self.ladder)))
        if not rising or self.ladder[-1:] != (100,):
            raise PlaneError(
                f"ladder {','.join(map(str, self.ladder)) or '(empty)'} does not rise from above 0 to 100.",
                hint="Write it like 5,10,50,100.",
            )

    @property
    def options(self) -> Options:
        return Options(
            ladder=self.ladder,
            ladder_hold_s=self.ladder_hold_s,
            rollout_limit_s=self.rollout_limit_s,
            sick_canary_s=self.sick_canary_s,
        )


def engines(state_dir: Path) -> dict[str, Engine]:
    """Give every engine, by name, on this state directory."""
    from anyservice_core.plane.engines.process import ProcessEngine
    from anyservice_core.plane.engines.ray_cluster import RayEngine

    sockets = run_dir(state_dir)
    return {"ray": RayEngine(state_dir, sockets), "process": ProcessEngine(state_dir, sockets)}


# ── serving ─────────────────────────────────────────────────────────────────


def serve(settings: PlaneSettings, *, on_ready: Callable[[str], None] = lambda _: None) -> None:
    """Run the plane until SIGINT or SIGTERM; services go on serving afterwards.

    Raises:
        PlaneError: another plane runs on this state directory, the port is taken, or the engine's
            packages are missing. Nothing is left behind.
    """
    state_dir = settings.state_dir
    if settings.listen:
        settings.listen.check()
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with only_one(state_dir), listener(LOOPBACK, settings.port) as bound:
        every = engines(state_dir)
        every[settings.engine].check()
        run_dir(state_dir, make=True)
        try:
            _serve(settings, bound, every, on_ready)
        finally:
            remove_run_dir(state_dir)


def _serve(
    settings: PlaneSettings,
    bound: socket.socket,
    every: dict[str, Engine],
    on_ready: Callable[[str], None],
) -> None:
    from anyservice_core.plane import parts
    from anyservice_core.plane.bundles import Bundles
    from anyservice_core.plane.dashboard.history import History
    from anyservice_core.plane.store import Store
    from anyservice_core.plane.telling import Teller
    from anyservice_core.plane.warden import Warden

    state_dir = settings.state_dir
    port = bound.getsockname()[1]
    host = f"http://{LOOPBACK}:{port}"
    token = _token(state_dir)
    wake = threading.Event()
    store = Store(state_dir / "plane.db", durable=settings.durable)
    bundles = Bundles(state_dir, key=token)
    api = parts.api(settings, store, bundles, token, wake)
    loop = parts.loop(settings, store, bundles, every)
    history, warden = History(store, time.time), Warden(store, state_dir, settings.version_memory)
    server, beside = parts.server(api, history), parts.beside(api, settings.listen, port)
    loop.tick()  # so that the first answer already tells what was found, not what was remembered
    with (
        contextlib.closing(store),
        _looping((history.look, warden.look, loop.tick, Teller(store).tell), wake),
        beside,
        _published(state_dir, host, token, settings.engine),
        _tidy_end(),
    ):
        on_ready(host)
        server.run(sockets=[bound])


@contextlib.contextmanager
def _tidy_end() -> Iterator[None]:
    """Let SIGTERM unwind the stack, as Ctrl-C does: the server, having shut down, gives itself the signal again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> None:
    raise SystemExit(0)


@contextlib.contextmanager
def _looping(ticks: Sequence[Callable[[], None]], wake: threading.Event) -> Iterator[None]:
    """Tick in a thread of its own for as long as the context lasts."""
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            try:
                for tick in ticks:
                    tick()
            except Exception:
                log.exception("a tick failed; the next one starts from what is there")
            wake.wait(TICK_S)
            wake.clear()

    thread = threading.Thread(target=run, name="plane-loop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        wake.set()
        thread.join(timeout=30)


@contextlib.contextmanager
def only_one(state_dir: Path) -> Iterator[None]:
    """Hold the lock that a plane has on its state directory for as long as it lives.

    Raises:
        PlaneError: another process has it; with that one's pid.
    """
    with os.fdopen(os.open(state_dir / "plane.lock", os.O_CREAT | os.O_RDWR, 0o600), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            raise PlaneError(
                f"a plane is already running on {state_dir}{f' (pid {holder})' if holder else ''}.",
                hint="`anyservice plane status` shows it; `anyservice plane down` stops it.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _token(state_dir: Path) -> str:
    """Give the plane's token, made once; in the form that official clients accept."""
    path = state_dir / "token"
    if not path.exists():
        write_private(path, f"aph0_{secrets.token_hex(24)}")
    return path.read_text().strip()


@contextlib.contextmanager
def _published(state_dir: Path, host: str, token: str, engine: str) -> Iterator[None]:
    path = state_dir / "plane.json"
    pid = os.getpid()
    stat = procfs.read_stat(pid)
    record = {"host": host, "token": token, "pid": pid, "engine": engine}
    record |= {"start_ticks": stat.start_ticks if stat else 0, "boot_id": procfs.boot_id()}
    write_private(path, json.dumps(record))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def main() -> None:
    """Entry point of a detached plane: its settings are the one argument."""
    log_to_stderr()
    given = json.loads(sys.argv[1])
    try:
        ladder, listen = tuple(given.get("ladder", LADDER)), given.get("listen")
        door = Door(**listen) if listen else None
        serve(
            PlaneSettings(
                **{**given, "state_dir": Path(given["state_dir"]), "ladder": ladder, "listen": door}
            )
        )
    except PlaneError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
