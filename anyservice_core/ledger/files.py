"""Files that two processes may use at once: each is whole or not there, and nobody else reads them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["Folder", "append", "lines", "prune", "read", "write"]

_DRAFT = ".draft-"


class Folder:
    """A folder that is made when something is written into it, for its owner only."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.path = root / name

    def __call__(self, *names: str) -> Path:
        """The path of a file in it."""
        return self.path.joinpath(*names)

    def made(self, *names: str) -> Path:
        """The path of a file that is about to be written."""
        path = self(*names)
        for folder in (self.root, self.path, path.parent):  # `parents` would leave them open to others
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def write(path: Path, text: str) -> None:
    """Whole or not at all: a reader never sees half of it, nor does a crash leave half behind."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=_DRAFT)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(draft).unlink()
        raise


def append(path: Path, line: str) -> int:
    """One more line at the end, in one piece; the size of the file then, in bytes."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{line}\n".encode())
        return os.fstat(handle).st_size
    finally:
        os.close(handle)


def read(path: Path) -> Any:
    """What a JSON file holds; ``None`` for one that is not there or cannot be read, as it is only a hint."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def lines(path: Path) -> Iterator[Any]:
    """What the lines of a file hold, save those that are no JSON: a crash may have cut the last one short."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        with suppress(ValueError):
            yield json.loads(line)


def prune(paths: Iterable[Path], most: int) -> None:
    """Keep the newest."""
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[most:]:
        path.unlink(missing_ok=True)
