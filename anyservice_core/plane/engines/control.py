"""One JSON line each way over a Unix socket: how an engine talks to a host.

The host answers from a thread of its own, so it can say "starting" while the user's module is
being imported. A caller never waits longer than its time-out.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["MAX_PATH", "ControlServer", "ask", "reply_to"]

MAX_PATH = 107  # bytes, the kernel's limit on a Unix socket's path
MAX_LINE = 1 << 20

Answer = Callable[..., Mapping[str, Any]]


def ask(path: Path, op: str, *, timeout_s: float = 0.5, **details: Any) -> dict[str, Any] | None:
    """Send ``op`` with its ``details`` and return the answer, or ``None`` if none came in time."""
    deadline = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(json.dumps({"op": op, **details}).encode() + b"\n")
            answer = json.loads(_read_line(connection, deadline))
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _read_line(connection: socket.socket, deadline: float) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_LINE:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = connection.recv(65536)
        if not chunk:
            break
        line += chunk
    return line


def reply_to(line: bytes, answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Answer one request line; a line that makes no sense gets an ``error`` and harms nothing."""
    try:
        request = dict(json.loads(line))
        return dict(answers[request.pop("op")](**request))
    except (ValueError, KeyError, TypeError):
        return {"error": f"expected a line like {{'op': 'status'}}; known: {', '.join(sorted(answers))}"}


class ControlServer:
    """Listens on ``path``, readable by its owner only, and answers in a daemon thread."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path = path
        self._answers = answers
        self._socket = socket.socket(socket.AF_UNIX)

    def start(self) -> None:
        self._path.unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            self._socket.bind(str(self._path))
        finally:
            os.umask(before)
        self._socket.listen(16)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        line = _read_line(connection, time.monotonic() + 2.0)
        if line:
            connection.sendall(json.dumps(reply_to(line, self._answers)).encode() + b"\n")
