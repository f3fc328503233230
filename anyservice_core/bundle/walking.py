"""What of a folder goes into its bundle.

Symbolic links are followed, since what they lead to is what a program sees; one that leads out of the folder is refused,
because what lies there is another thing on the next machine, or nobody's business. A link to a folder that holds the link
itself would never end, and one that leads nowhere has nothing to give: these two are left out, which is told, and so are
sockets, pipes and devices.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from anyservice_core.bundle.ignoring import Fate, Rules
from anyservice_core.bundle.telling import LeftOut, printable
from anyservice_core.errors import ConfigError

__all__ = ["Member", "Tree", "survey", "unreadable"]

_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\\]")  # Ray passes over names with a backslash, without a word


@dataclass(frozen=True, slots=True)
class Member:
    """A file, or a folder that is empty: ``name`` is its path from the top, that of a folder ends in a slash.

    ``size`` in bytes is that of the walk; what is appended later is not part of the bundle.
    """

    name: str
    size: int = 0
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder as it is to be packed: ``members`` by name, all below ``top`` in the zip.

    ``field`` of the config names it as ``folder``, and it lies at ``root``.
    """

    field: str
    folder: str
    root: str
    top: str
    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(member.size for member in self.members)


def survey(folder: str, excludes: Sequence[str] = (), module: bool = False) -> Tree:
    """Walk ``folder``. Everything goes below one top-level folder, which Ray takes away again.

    That one is always called the same, so that it has no say in the name; only that of a ``module``, an entry of
    ``py_modules``, keeps its own, since Ray and the plane can make that a name to import. Raises ``ConfigError`` when there
    is no such folder, and for a file in it that cannot be packed: one that cannot be read, a link that leads out of the
    folder, a name that is not UTF-8 or that holds a backslash or a control character.
    """
    where = "py_modules" if module else "working_dir"
    root = _existing(where, folder)
    _check_name(where, root.name)
    walk = _Walk(where, str(root))
    walk.run(Rules.of(excludes))
    members = tuple(sorted(walk.members, key=lambda member: member.name))
    top = (root.name if module else "") or "app"
    return Tree(where, folder, str(root), top, members, tuple(walk.left_out(folder)))


def _existing(field: str, folder: str) -> Path:
    try:
        root = Path(folder).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a loop of links; a home of nobody
        raise ConfigError(f"{field}: {folder!r} cannot be followed: {error}.") from None
    if not root.exists():
        raise ConfigError(f"{field}: {folder!r} does not exist.", hint=f"It was looked for at {root}.")
    if not root.is_dir():
        raise ConfigError(f"{field}: {folder!r} is not a folder.", hint="Give a folder, or the URI of a zip.")
    return root


def unreadable(field: str, name: str, error: OSError) -> ConfigError:
    """The error for a member that the system will not give."""
    return ConfigError(
        f"{field}: cannot read {printable(name)}: {error.strerror}.",
        hint="Make it readable, or add it to `excludes`.",
    )


class _Folder(NamedTuple):
    """A folder to look into. ``real`` is where it lies, ``via`` where the links lie that lead to it."""

    path: str
    base: str
    real: str
    rules: Rules
    via: tuple[str, ...] = ()

    def is_round(self, target: str) -> bool:
        """Whether a link in here to ``target`` would be met again in there, without end."""
        return any(_is_within(place, target) for place in (self.real, *self.via))


class _Walk:
    """Looks into one folder after the other, and notes what it finds."""

    def __init__(self, field: str, root: str) -> None:
        self.field, self.root = field, root
        self.members: list[Member] = []
        self.secrets: list[str] = []
        self.links: list[str] = []
        self.others: list[str] = []

    def run(self, rules: Rules) -> None:
        ahead = [_Folder(self.root, "", self.root, rules)]
        while ahead:
            ahead += self._look_into(ahead.pop())

    def left_out(self, folder: str) -> Iterator[LeftOut]:
        kinds = (
            (self.secrets, "going by their names they hold secrets", "`!name` in `excludes` brings one in."),
            (self.links, "links that lead nowhere or above themselves", "Mend or exclude them."),
            (self.others, "neither files nor folders", "Exclude them to hear no more of it."),
        )
        for names, why, hint in kinds:
            if names:
                yield LeftOut(folder, tuple(sorted(names)), why, hint)

    def _look_into(self, folder: _Folder) -> Iterator[_Folder]:
        entries = self._entries(folder)
        if not entries and folder.base:
            self.members.append(Member(folder.base))
        rules = folder.rules
        if any(entry.name == ".gitignore" and Path(entry.path).is_file() for entry in entries):
            rules = self._with_gitignore(folder)
        for entry in entries:
            try:
                yield from self._meet(entry, folder._replace(rules=rules))
            except OSError as error:
                raise unreadable(self.field, folder.base + entry.name, error) from None

    def _entries(self, folder: _Folder) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder.path) as found:
                return list(found)
        except OSError as error:
            raise unreadable(self.field, folder.base or ".", error) from None

    def _with_gitignore(self, folder: _Folder) -> Rules:
        file = f"{folder.path}/.gitignore"
        try:
            return folder.rules.with_gitignore(file, folder.base)
        except OSError as error:
            raise unreadable(self.field, f"{folder.base}.gitignore", error) from None

    def _meet(self, entry: os.DirEntry[str], folder: _Folder) -> Iterator[_Folder]:
        """Note a child; where it is a folder, it is to be looked into."""
        target = os.path.realpath(entry.path) if entry.is_symlink() else ""
        is_folder = Path(target).is_dir() if target else entry.is_dir()
        name = f"{folder.base}{entry.name}/" if is_folder else f"{folder.base}{entry.name}"
        if not self._is_wanted(name, target, folder.rules):
            return
        _check_name(self.field, name)
        if target and not self._is_followed(name, target, folder):
            return
        if is_folder:
            real = target or f"{folder.real}/{entry.name}"
            via = (*folder.via, folder.real) if target else folder.via
            yield _Folder(entry.path, name, real, folder.rules, via)
        else:
            self._add(entry, name)

    def _is_wanted(self, name: str, target: str, rules: Rules) -> bool:
        fate = rules.fate(name, target)
        if fate is Fate.SECRET:
            self.secrets.append(name)
        return fate is Fate.KEPT

    def _is_followed(self, name: str, target: str, folder: _Folder) -> bool:
        """Whether a link leads to something. Raises ``ConfigError`` where that is not in the folder."""
        if not _is_within(target, self.root):
            raise ConfigError(
                f"{self.field}: {printable(name.rstrip('/'))} is a link out of the folder, to {printable(target)}.",
                hint="Put a copy of that in its place, or add the link to `excludes`.",
            )
        leads_on = Path(target).exists() and not (name.endswith("/") and folder.is_round(target))
        if not leads_on:
            self.links.append(name)
        return leads_on

    def _add(self, entry: os.DirEntry[str], name: str) -> None:
        found = entry.stat()
        if stat.S_ISREG(found.st_mode):
            executable = bool(found.st_mode & stat.S_IXUSR)
            self.members.append(Member(name, found.st_size, executable))
        else:
            self.others.append(name)


def _check_name(field: str, name: str) -> None:
    problem = None
    if _is_not_utf8(name):
        problem = "is not a name in UTF-8"
    elif bad := _UNFIT.search(name):
        problem = f"holds {bad[0]!r}, which not every reader of zips takes as it is"
    if problem:
        raise ConfigError(
            f"{field}: {name!r} {problem}.",
            hint="Rename it, or add it to `excludes`, where `?` stands for any letter.",
        )


def _is_not_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
