"""What both engines share: start hosts, find them again, ask them, stop them for good."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from anyservice_core.errors import PlaneError

from . import control, spawn
from .base import EngineState, Observed, VersionSpec
from .essence import log_tail
from .hostdir import HostDir, prune
from .sessions import MARK, Session
from .verdict import Seen, judge

__all__ = ["HostEngine", "session_of"]

_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class HostEngine:
    """One host process, leader of its own session, per version.

    ``state_dir`` remembers the hosts across planes; ``run_dir`` holds their sockets, so its path must
    be short. ``python`` is the interpreter hosts run on. A version that does not come up within
    ``start_deadline_s`` seconds has failed.
    """

    name: ClassVar[str]
    host_module: ClassVar[str]
    kill_after_s: ClassVar[float]  # from the first request to stop

    def __init__(
        self,
        state_dir: Path,
        run_dir: Path,
        *,
        python: str = sys.executable,
        start_deadline_s: float = 300.0,
    ) -> None:
        self._state_dir = state_dir.resolve()
        self._hosts = self._state_dir / "hosts"
        self._run_dir = run_dir.resolve()
        self._python = python
        self._start_deadline_s = start_deadline_s
        self._last: dict[str, tuple[float, Observed | None]] = {}  # when it last answered, or we first asked

    # ── what an engine adds ──────────────────────────────────────────────────

    def check(self) -> None:
        """Raise ``PlaneError`` if this engine cannot run on this machine."""

    def host_options(self, version_id: str) -> Mapping[str, Any]:
        """Settings for the host beside the spec."""
        del version_id
        return {}

    def host_variables(self, spec: VersionSpec) -> Mapping[str, str]:
        """Environment variables for the host."""
        del spec
        return {}

    def clean(self, version_id: str) -> None:
        """Remove what a host left outside its folder."""

    # ── the protocol ─────────────────────────────────────────────────────────

    def start(self, spec: VersionSpec) -> None:
        self.check()
        host = self._dir(spec.version_id)
        if (old := session_of(host)) is not None:
            spawn.reap()
            if old.leader_alive():
                return
            old.kill()
        self._last.pop(spec.version_id, None)
        self._launch(host, spec)

    def observe(self, version_id: str) -> Observed:
        try:
            return self._observe(version_id)
        except (PlaneError, OSError, ValueError, KeyError, TypeError) as error:
            return Observed(EngineState.UNHEALTHY, message=f"cannot tell how it is: {error}")

    def stop(self, version_id: str) -> None:
        host = self._dir(version_id)
        session = session_of(host)
        if session is None:
            return
        spawn.reap()
        if session.leader_alive():
            _insist(host, session, self.kill_after_s)
        else:
            host.write_once("stopping", {"at": time.time()})
            self._bury(host, session, version_id)

    def scale(self, version_id: str, percent: int) -> None:
        """Do nothing: what is one process is there as a whole."""

    def known(self) -> set[str]:
        with contextlib.suppress(OSError):
            return {path.name for path in self._hosts.iterdir() if self._is_mine(HostDir(path))}
        return set()

    def stop_all(self) -> None:
        deadline = time.monotonic() + self.kill_after_s + 30.0
        while left := self.known():
            for version_id in left:
                self.stop(version_id)
            if time.monotonic() > deadline:
                raise PlaneError(
                    f"Processes of {', '.join(sorted(left))} did not end although they were killed.",
                    hint="Look for processes in uninterruptible sleep (state D).",
                )
            time.sleep(0.05)

    # ── starting ─────────────────────────────────────────────────────────────

    def _launch(self, host: HostDir, spec: VersionSpec) -> None:
        mark = secrets.token_hex(16)
        self.clean(spec.version_id)
        host.clear()
        host.create()
        prune(self._hosts)
        host.write("spec", self._written(spec))
        variables = {**self.host_variables(spec), MARK: mark}
        try:
            pid = spawn.spawn(
                spawn.host_command(self._python, self.host_module, host.path),
                environment=spawn.host_environment(variables),
                log=host.log,
            )
        except OSError as error:
            raise PlaneError(f"Cannot start a host with {self._python}: {error}.") from error
        session = Session.of_leader(pid, mark)
        record = {"pid": pid, "started_at": time.time(), **session.to_dict()}
        host.write("host", {**self._common(spec.version_id), **record})

    def _common(self, version_id: str) -> dict[str, str]:
        return {"engine": self.name, "socket": str(self._socket(version_id))}

    def _written(self, spec: VersionSpec) -> dict[str, Any]:
        """What a host is told in writing."""
        own = {"overlays": str(self._state_dir / "overlays"), **self.host_options(spec.version_id)}
        told = {"version": spec.to_dict(), "asked_at": time.time()}
        return {**told, **self._common(spec.version_id), **own}

    def _socket(self, version_id: str) -> Path:
        self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._run_dir / f"{self._short(version_id)}.sock"
        if len(str(path).encode()) > control.MAX_PATH:
            raise PlaneError(
                f"The path of a socket is too long: {path}.", hint="Give a run folder with a short path."
            )
        return path

    def _short(self, version_id: str) -> str:
        """Eight hex digits that a later plane on the same state directory finds again."""
        return hashlib.sha256(f"{self._state_dir}\0{version_id}".encode()).hexdigest()[:8]

    def _dir(self, version_id: str) -> HostDir:
        if not _SAFE_ID.fullmatch(version_id):
            raise PlaneError(f"version_id {version_id!r} cannot name a folder.")
        return HostDir(self._hosts / version_id)

    def _is_mine(self, host: HostDir) -> bool:
        return (host.read("host") or {}).get("engine") == self.name

    # ── observing ────────────────────────────────────────────────────────────

    def _observe(self, version_id: str) -> Observed:
        host = self._dir(version_id)
        session = session_of(host)
        if session is None:
            return judge(Seen(known=False))
        spawn.reap()
        alive = session.leader_alive()
        if not alive and self._bury(host, session, version_id):
            return judge(Seen(known=False))
        answer = _ask(host) if alive else None
        seen = self._see(host, version_id, alive=alive, answer=answer)
        observed = judge(seen)
        if observed.state is EngineState.FAILED:
            host.write_once("failed", {"message": observed.message})
        return observed

    def _see(self, host: HostDir, version_id: str, *, alive: bool, answer: Observed | None) -> Seen:
        now = time.monotonic()
        heard_at, last = self._last.setdefault(version_id, (now, None))
        if answer is not None:
            self._last[version_id] = (now, answer)
        record = host.read("host") or {}
        asked_at = (host.read("spec") or {}).get("asked_at") or record.get("started_at", 0.0)
        return Seen(
            alive=alive,
            failure=(host.read("failed") or {}).get("message"),
            answer=answer,
            last=last,
            address=_address((host.read("ready") or {}).get("address")),
            age_s=time.time() - float(asked_at),
            silent_s=now - heard_at,
            start_deadline_s=self._start_deadline_s,
            death="" if alive else _death(host, int(record.get("pid", 0))),
        )

    # ── stopping ─────────────────────────────────────────────────────────────

    def _bury(self, host: HostDir, session: Session, version_id: str) -> bool:
        """The host is dead, so its orphans serve nobody; once they are gone, forget it if it was to stop."""
        if session.members():
            session.kill()
            return False
        if host.read("stopping") is None:
            return False
        _socket(host).unlink(missing_ok=True)
        self.clean(version_id)
        host.clear()
        self._last.pop(version_id, None)
        return True


def session_of(host: HostDir) -> Session | None:
    record = host.read("host")
    return Session.from_dict(record) if record else None


def _socket(host: HostDir) -> Path:
    return Path((host.read("host") or {}).get("socket", "/nonexistent"))


def _ask(host: HostDir) -> Observed | None:
    answer = control.ask(_socket(host), "status", generation=host.generation)
    if answer is None or "state" not in answer:
        return None
    state = EngineState(answer["state"])
    capacity = answer.get("capacity")
    return Observed(
        state,
        _address(answer.get("address")),
        str(answer.get("message", "")),
        answer.get("under_way"),
        (int(capacity[0]), int(capacity[1])) if capacity else None,
    )


def _insist(host: HostDir, session: Session, kill_after_s: float) -> None:
    """Ask; if nobody listens, SIGTERM, which means the same; when that took too long, SIGKILL to all."""
    host.write_once("stopping", {"at": time.time()})
    asked_at = float((host.read("stopping") or {}).get("at", 0.0))
    if time.time() - asked_at > kill_after_s:
        session.kill()
    elif control.ask(_socket(host), "stop") is None:
        session.signal_leader(signal.SIGTERM)


def _address(value: Any) -> tuple[str, int] | None:
    return (str(value[0]), int(value[1])) if value else None


def _death(host: HostDir, pid: int) -> str:
    if host.read("stopping"):
        return "stopped"
    tail = log_tail(host.log)
    return f"its host process died{spawn.exit_reason(pid)}" + (f"; end of its log: {tail}" if tail else "")
