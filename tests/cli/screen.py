"""A terminal on paper: it understands what a board writes, and no more."""

from __future__ import annotations

import os
import re

__all__ = ["Screen"]

PARTS = re.compile(r"\x1b\[(\?2026[hl]|\d*A|2K|J|[0-9;]*m)|(\r)|(\n)|([^\x1b\r\n]+)")


class Screen:
    """Lines, a cursor, and how wide it is: a line that is longer goes on in the next row."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.size = os.terminal_size((columns, rows))
        self.rows: list[str] = [""]
        self.at = self.column = 0
        self.writes: list[str] = []

    def write(self, text: str) -> None:
        self.writes.append(text)
        done = 0
        for found in PARTS.finditer(text):
            assert found.start() == done, f"not understood: {text[done : found.start()]!r}"
            done = found.end()
            self._take(found[1], found[4], newline=bool(found[3]), back=bool(found[2]))
        assert done == len(text)

    def _take(self, code: str | None, words: str | None, *, newline: bool, back: bool = False) -> None:
        if back:
            self.column = 0
        elif newline:
            self.at, self.column = self.at + 1, 0
            self.rows += [""] * (self.at + 1 - len(self.rows))
        elif words:
            self._put(words)
        elif code and code.endswith("A"):
            self.at = max(self.at - int(code[:-1] or 1), 0)
        elif code == "2K":
            self.rows[self.at] = ""
        elif code == "J":
            self.rows = [*self.rows[: self.at], self.rows[self.at][: self.column]]

    def _put(self, words: str) -> None:
        for letter in words:
            if self.column == self.size.columns:
                self._take(None, None, newline=True)
            row = self.rows[self.at].ljust(self.column)
            self.rows[self.at] = row[: self.column] + letter + row[self.column + 1 :]
            self.column += 1

    def narrow(self, columns: int) -> None:
        """Wrap what is there, as most terminals do."""
        below = len(self.rows) - self.at
        wrapped = [row[n : n + columns] for row in self.rows for n in range(0, max(len(row), 1), columns)]
        self.size = os.terminal_size((columns, self.size.lines))
        self.rows, self.at = wrapped, len(wrapped) - below

    @property
    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows).rstrip()
