"""Requirements files, read as pip reads them, for the list that Ray gives to pip on each of its machines.

Ray writes the list into a file there, so every line that pip takes in a file is good, options included. Only what names a file
or folder of this machine is not: pip would look for it on the other. Files that are included (``-r``) are read here and take the
line's place. The rest is refused with file, line number and a way out, unless it lies in what Ray unpacks from
``working_dir``, which ``${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}`` stands for.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from anyservice_core.errors import ConfigError

__all__ = ["read_requirements", "read_text"]

THERE: Final = "${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}"

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_OPTION: Final = re.compile(r"(--[a-z][a-z-]*)=?(.*)|(-[a-zA-Z])(.*)")
_LONG: Final = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-f": "--find-links",
    "-i": "--index-url",
}
_NAMES_A_PLACE: Final = {
    "--constraint": f"Pin the versions themselves, or put the file into working_dir and write {THERE}/ before its name.",
    "--editable": "List the folder in `py_modules` instead, or give the address of a repository.",
    "--find-links": "Give a web address.",
}
_PASSED_ON: Final = {
    *("--index-url", "--extra-index-url", "--no-index", "--trusted-host", "--pre", "--prefer-binary"),
    *("--no-binary", "--only-binary", "--require-hashes", "--use-feature"),
}
_ARCHIVE: Final = re.compile(r"\.(whl|zip|tar\.gz|tgz|tar\.bz2)$")


def read_text(field: str, path: str) -> str:
    """The text of a file that ``field`` of a config names."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"{field}: cannot read {path!r}: {_why(error)}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{field}: {path!r} is not a text file in UTF-8.") from None


def _why(error: OSError | RuntimeError) -> str:
    return str(getattr(error, "strerror", None) or error)


def read_requirements(path: str) -> list[str]:
    """What a requirements file asks for, a line each, comments left out and included files put in.

    Raises ``ConfigError`` naming file and line of what pip could not find where Ray runs it, or would not take.
    """
    return list(_Reader().lines(path, read_text("requirements", path)))


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a file, put together where a backslash parts it."""

    file: str
    number: int
    text: str

    def refuse(self, problem: str, hint: str) -> NoReturn:
        raise ConfigError(f"requirements: {self.file}, line {self.number}: {problem}.", hint=hint)


@dataclass
class _Reader:
    """Follows includes. ``open`` are the files that it is in the middle of, ``read`` all that it has been in."""

    open: list[Path] = field(default_factory=list)
    read: set[Path] = field(default_factory=set)

    def lines(self, file: str, text: str) -> Iterator[str]:
        place = Path(file).expanduser().resolve()
        self.open.append(place)
        self.read.add(place)
        for line in _joined(file, text):
            if line.text.startswith("-"):
                yield from self._option(line)
            else:
                _check_requirement(line)
                yield line.text
        self.open.pop()

    def _option(self, line: _Line) -> Iterator[str]:
        options = _options(line)
        for name, value in options:
            if name != "--requirement" or value.startswith(THERE):
                _check_option(line, name, value)
            elif len(options) > 1:
                line.refuse("a file is included beside other options", "Give each a line of its own.")
            else:
                yield from self._included(line, value)
                return
        yield line.text

    def _included(self, line: _Line, name: str) -> Iterator[str]:
        if "://" in name:
            line.refuse("a file on the web is included", "Download it, and include that.")
        path = Path(line.file).expanduser().parent / Path(name).expanduser()
        place = path.resolve()
        if place in self.open:
            line.refuse(f"{name!r} includes itself", "Take one of the lines out that lead there.")
        if place not in self.read:
            try:
                text = read_text("requirements", str(path))
            except ConfigError as error:
                line.refuse(error.message.removeprefix("requirements: ").rstrip("."), "Is the name right?")
            yield from self.lines(str(path), text)


def _joined(file: str, text: str) -> Iterator[_Line]:
    """The lines that say something. One that ends in a backslash goes on in the next, unless that is a comment."""
    begun: list[str] = []
    first = 1
    for number, raw in enumerate([*text.splitlines(), ""], start=1):
        first = first if begun else number
        is_comment = raw.lstrip().startswith("#")
        if raw.endswith("\\") and not is_comment:
            begun.append(raw.removesuffix("\\"))
            continue
        whole = _COMMENT.sub("", "".join([*begun, f" {raw}" if is_comment else raw])).strip()
        begun = []
        if whole:
            yield _Line(file, first, whole)


def _options(line: _Line) -> list[tuple[str, str]]:
    """Options in their long form, each with its value or an empty one."""
    try:
        words = shlex.split(line.text)
    except ValueError:
        line.refuse("a quote is not closed", "Close it.")
    found: list[tuple[str, str]] = []
    for word in words:
        if option := _OPTION.fullmatch(word):
            name = option[1] or _LONG.get(option[3], option[3])
            found.append((name, option[2] or option[4] or ""))
        elif found and not found[-1][1]:
            found[-1] = (found[-1][0], word)
    return found


def _check_option(line: _Line, name: str, value: str) -> None:
    if name in _NAMES_A_PLACE:
        if "://" not in value and not value.startswith(THERE):
            line.refuse(f"{name} names a place on this machine, {value!r}", _NAMES_A_PLACE[name])
    elif name not in {*_PASSED_ON, "--requirement"}:
        line.refuse(f"{name} is not an option that pip takes in a file", "Take it out.")


def _check_requirement(line: _Line) -> None:
    asked = re.split(r"\s+--|\s*;", line.text, maxsplit=1)[0].strip()
    is_address = "://" in asked and "file://" not in asked
    is_path = asked.startswith((".", "~/", "file:")) or "/" in asked or _ARCHIVE.search(asked)
    if is_path and not is_address and THERE not in asked:
        line.refuse(
            f"{asked!r} is on this machine",
            f"List its folder in `py_modules`, or put it into working_dir and write {THERE}/ before its name.",
        )
