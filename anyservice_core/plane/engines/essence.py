"""What a person needs from a traceback: what went wrong, and where in their own code."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["essence", "log_tail"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = re.compile(r'^ *File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<where>.+))?$')
_NOT_THE_USERS = re.compile(r"/site-packages/|/dist-packages/|/lib/python3|^<frozen|/anyservice_core/")
_ERROR = re.compile(r"^[A-Za-z_][\w.]*(?:\([\w.]+\))?(?:: .*)?$")
LIMIT = 600


def essence(text: str) -> str:
    """Shorten a text that may hold a traceback: its last error line and the user's last frame.

    Text without a traceback comes back as its last few lines.
    """
    lines = [line.rstrip() for line in _COLOUR.sub("", text).strip().splitlines()]
    frames = [index for index, line in enumerate(lines) if _FRAME.match(line)]
    if not frames:
        return _clip("\n".join(line for line in lines if line)[-LIMIT:])
    error = _error_after(lines, frames[-1])
    return _clip(f"{error} ({_describe(lines, _users_frame(lines, frames))})")


def log_tail(path: Path, *, size: int = 16_384) -> str:
    """Return the essence of the end of a log; empty if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - size))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    lines = text.strip().splitlines()
    return essence(text) if "Traceback (most recent" in text else _clip("\n".join(lines[-5:]))


def _error_after(lines: list[str], frame: int) -> str:
    """Return the first unindented line after the last frame, with what belongs to its message."""
    rest = lines[frame + 1 :]
    for index, line in enumerate(rest):
        if _ERROR.match(line):
            more = [
                text for text in rest[index + 1 : index + 3] if text and not text.startswith((" ", "[", "="))
            ]
            return " ".join([line, *more])
    return rest[-1].strip() if rest else "error"


def _users_frame(lines: list[str], frames: list[int]) -> int:
    theirs = [index for index in frames if not _NOT_THE_USERS.search(_file(lines[index]))]
    return (theirs or frames)[-1]


def _file(line: str) -> str:
    match = _FRAME.match(line)
    return match["file"] if match else ""


def _describe(lines: list[str], index: int) -> str:
    match = _FRAME.match(lines[index])
    assert match is not None
    where = f" in {match['where']}" if match["where"] else ""
    source = lines[index + 1].strip() if index + 1 < len(lines) else ""
    code = f": {source}" if source and not _ERROR.match(source) else ""
    return f"{Path(match['file']).name} line {match['line']}{where}{code}"


def _clip(text: str) -> str:
    return text if len(text) <= LIMIT else text[: LIMIT - 1] + "…"
