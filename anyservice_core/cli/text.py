"""How wide text is on a terminal, and how to keep what others wrote from steering it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["columns_of", "cut", "plain"]

_STYLE: Final = re.compile(r"(\x1b\[[0-9;]*m)")
_RESET: Final = "\x1b[0m"


def plain(text: str) -> str:
    """One line without control characters: what a server or a metric says may hold any."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(mark if mark.isprintable() else "?" for mark in line)


def columns_of(text: str) -> int:
    """How many columns a plain text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(mark: str) -> int:
    if unicodedata.combining(mark):
        return 0
    return 2 if unicodedata.east_asian_width(mark) in "WF" else 1


def cut(line: str, columns: int, more: str = "…") -> str:
    """A line, perhaps with colours, that fits; ``more`` is the mark at its end where it is too long."""
    if columns_of(_STYLE.sub("", line)) <= columns:
        return line
    kept, room = "", columns - 1
    for part in _STYLE.split(line):
        if _STYLE.fullmatch(part):
            kept += part
            continue
        for mark in part:
            room -= _width(mark)
            if room < 0:
                return f"{kept}{more}{_RESET if _RESET in line else ''}"
            kept += mark
    return kept
