"""A rollout on a terminal: what happened scrolls by, where it stands is redrawn below it, in place.

A frame is written in one piece, between the marks of a synchronized update for terminals that know them, and only
when it differs from the last, so nothing flickers. How far up the last one began is counted in rows of the terminal
as it is now: one that was made narrower has wrapped its lines. Lines are cleared as a whole before they are
written: a line that is cleared to its end is as wide as the terminal to those that wrap, and a screen that is cleared
from its first line goes into the history of those that keep one.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import click

from anyservice_core.cli.live import ASCII, UNICODE, lines
from anyservice_core.cli.progress import Lines, live_text, speaks_unicode
from anyservice_core.cli.text import columns_of, cut, plain
from anyservice_core.cli.view import Watch
from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.journal import Journal

__all__ = ["Board", "Size"]

Size = os.terminal_size
_TICK_S: Final = 0.25
_CLEAR_LINE: Final = "\x1b[2K"
_CLEAR_BELOW: Final = "\x1b[J"
_TOGETHER: Final = ("\x1b[?2026h", "\x1b[?2026l")
_TIME: Final = 7
_PASSING: Final = frozenset({Kind.MEASURED, Kind.FINISHED})  # shown below, and as the result
_COLORS: Final = {
    Kind.TROUBLE: "yellow",
    Kind.ROLLING_BACK: "red",
    Kind.PROMOTING: "green",
    Kind.ORDERED: "cyan",
}


class Board(Lines):
    """Told by the thread that runs the rollout; a clock of its own redraws it."""

    def __init__(
        self,
        *,
        flags: str = "",
        write: Callable[[str], None] | None = None,
        size: Callable[[], Size] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._watch = Watch()
        self._watch.known = replace(self._watch.known, flags=flags)
        self._write, self._size, self._clock = write or _to_stderr, size or _terminal_size, clock
        self._glyphs = UNICODE if speaks_unicode() else ASCII
        self._colored = click.get_current_context().color is not False
        self._passing = ""
        self._told_at = clock()
        self._frame: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ticking = threading.Thread(target=self._tick, daemon=True)

    def __call__(self, event: Any) -> None:
        """What stays is written above; all else changes what is below."""
        with self._lock:
            passing = None if isinstance(event, Event) else live_text(event)
            self._passing = passing or ""
            if isinstance(event, Event):
                self._told_at = self._clock()
                self._watch.see(event)
            stays = passing is None and getattr(event, "kind", None) not in _PASSING
            self._draw(above=self._said(event) if stays else ())
        self._wind_up()

    def keep(self, value: Any) -> None:
        """What it remembers now."""
        with self._lock:
            if isinstance(value, Journal):
                self._told_at = self._clock()
                self._watch.keep(value)

    def close(self) -> None:
        """Take away what is redrawn; what scrolled by stays."""
        self._over.set()
        if self._ticking.is_alive():
            self._ticking.join()
        with self._lock:
            rows = self._rows()
            self._write(f"{_up(rows)}{_CLEAR_LINE}" + f"\n{_CLEAR_LINE}" * rows + _up(rows))
            self._frame = []

    def _wind_up(self) -> None:
        """A daemon: it must not keep a process that is to end."""
        if not self._ticking.is_alive() and not self._over.is_set():
            self._ticking.start()

    def _tick(self) -> None:
        while not self._over.wait(_TICK_S):
            with self._lock:
                self._draw()

    def _said(self, event: Any) -> list[str]:
        """An event in lines that do not need to be wrapped, as a part that is would not be cleared."""
        columns = max(self._size().columns - 1, 20)
        if not isinstance(event, Event):
            return textwrap.wrap(plain(str(event)), columns)
        known, color = self._watch.known, _COLORS.get(event.kind)
        passed = known.now - known.started_at if known.started_at is not None else 0.0
        time = click.style(format_duration(max(int(passed), 0)).rjust(_TIME), dim=True)
        said = textwrap.wrap(plain(event.message), columns - _TIME - 2) or [""]
        shown = [click.style(line, fg=color) if color else line for line in said]
        return [f"{time}  {shown[0]}", *(f"{'':{_TIME + 2}}{line}" for line in shown[1:])]

    def _draw(self, above: Sequence[str] = ()) -> None:
        frame = self._made()
        if not above and frame == self._frame:
            return
        shown = [row if self._colored else click.unstyle(row) for row in (*above, *frame)]
        text = "".join(f"{_CLEAR_LINE}{row}\n" for row in shown)
        self._write(f"{_TOGETHER[0]}{_up(self._rows())}{text}{_CLEAR_BELOW}{_TOGETHER[1]}")
        self._frame = frame

    def _made(self) -> list[str]:
        columns, rows = self._size()
        passed = self._clock() - self._told_at
        known = self._watch.known
        view = replace(known, now=known.now + passed)
        drawn = lines(view, columns, self._glyphs)
        drawn += [self._passing] if self._passing else []
        return [cut(line, columns - 1, self._glyphs.more) for line in _fitting(drawn, rows - 2)]

    def _rows(self) -> int:
        """How many rows the last frame takes by now."""
        columns = max(self._size().columns, 1)
        return sum(max(1, -(-columns_of(click.unstyle(line)) // columns)) for line in self._frame)


def _up(rows: int) -> str:
    return f"\r\x1b[{rows}A" if rows else "\r"


def _fitting(drawn: Sequence[str], rows: int) -> list[str]:
    """On a low terminal what is least needed goes: the metrics, which come before the last lines."""
    room = max(rows, 3)
    return [*drawn] if len(drawn) <= room else [*drawn[: room - 2], *drawn[-2:]]


def _terminal_size() -> Size:
    """Of stderr, where it is drawn; of a terminal that does not say, what the environment says."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        size = Size((0, 0))
    return size if size.columns > 0 and size.lines > 0 else shutil.get_terminal_size()


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
