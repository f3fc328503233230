"""What is told while a command works, on stderr.

A person at a terminal sees one line that is written over in place, with the time that has passed, and keeps the lines
that matter. Everybody else gets plain lines, and programs (``-o json``) a JSON object a line.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import click

from anyservice_core.cli.manners import is_watched, manners

if TYPE_CHECKING:
    from anyservice_core.models import ServiceStatus

__all__ = ["Lines", "LiveLine", "fields_of", "listener", "live_text", "say", "speaks_unicode"]

_TICK_S: Final = 0.2
_BACK: Final = "\r\x1b[2K"


def say(event: Any) -> None:
    """A line on stderr, where it stays."""
    _line(event, as_json=manners().output == "json")


def _line(event: Any, *, as_json: bool) -> None:
    click.echo(json.dumps(fields_of(event)) if as_json else str(event), err=True)


def fields_of(event: Any) -> dict[str, Any]:
    """An event as JSON: its kind, its plain fields, its data if it has some, and the words for people."""
    kind = "Message" if isinstance(event, str) else type(event).__name__
    names = [field.name for field in dataclasses.fields(event)] if dataclasses.is_dataclass(event) else []
    plain = {
        name: value for name in names if isinstance(value := getattr(event, name), str | int | float | None)
    }
    data = {"data": dict(event.data)} if hasattr(event, "data") else {}
    return {"event": kind, **plain, **data, "message": str(event)}


def listener() -> Lines:
    """Whoever fits the place: a line that moves on a terminal, lines elsewhere."""
    return LiveLine() if is_watched() and manners().output != "json" else Lines()


class Lines:
    """Every event is a line. May be told from several threads, where click does not know the command."""

    def __init__(self) -> None:
        self._as_json = manners().output == "json"

    def __call__(self, event: Any) -> None:
        _line(event, as_json=self._as_json)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def keep(self, value: Any) -> None:
        """What an operation has saved, of which only a board shows something."""

    def close(self) -> None:
        """Nothing more will be told."""


class LiveLine(Lines):
    """What passes is written over in place, with a clock; what stays is written above it."""

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self._write = write or _to_stderr
        self._began = time.monotonic()
        self._frames = itertools.cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if speaks_unicode() else "|/-\\")
        self._text = ""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._clock: threading.Thread | None = None

    def __call__(self, event: Any) -> None:
        passing = live_text(event)
        with self._lock:
            if passing is None:
                self._write(f"{_BACK}{event}\n")
            self._text = passing or ""
            self._draw()
        self._wind_up()

    def close(self) -> None:
        self._over.set()
        if self._clock:
            self._clock.join()
        with self._lock:
            self._text = ""
            self._write(_BACK)

    def _wind_up(self) -> None:
        """The clock goes on between two events. A daemon: it must not keep a process that is to end."""
        if self._clock is None and self._text:
            self._clock = threading.Thread(target=self._tick, daemon=True)
            self._clock.start()

    def _tick(self) -> None:
        while not self._over.wait(_TICK_S):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if self._text:
            line = f"{next(self._frames)} {passed(time.monotonic() - self._began)}  {self._text}"
            self._write(_BACK + _cut(line, shutil.get_terminal_size().columns - 1))


def live_text(event: Any) -> str | None:
    """The words for the line that moves; ``None`` for what shall stay."""
    if (status := getattr(event, "status", None)) is not None and hasattr(status, "primary_version"):
        return f"{what_is(status)}  {event.reason}"
    if hasattr(event, "sent") and hasattr(event, "size"):
        return f"uploading {event.sent * 100 // event.size}% of {event.size / 1e6:.1f} MB"
    return str(event) if type(event).__name__ in {"Building", "Bundling", "Replaying"} else None


def what_is(status: ServiceStatus) -> str:
    """A service in one line: ``recommender ROLLING_OUT  v1 90%  v2 10% STARTING``."""
    both = (status.primary_version, status.canary_version)
    versions = [one for one in both if one and one.state != "TERMINATED"]
    shares = [
        f"{one.name or one.id[-8:]} {one.weight}%" + ("" if one.state == "RUNNING" else f" {one.state}")
        for one in versions
    ]
    return "  ".join([f"{status.name} {status.state}", *shares])


def passed(seconds: float) -> str:
    """Time as clocks show it: ``0:42``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _cut(line: str, columns: int) -> str:
    return line if len(line) <= columns else line[: max(columns - 1, 0)] + "…"


def speaks_unicode() -> bool:
    """Whether stderr takes more than ASCII."""
    return (sys.stderr.encoding or "").lower().replace("-", "").startswith("utf")


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
