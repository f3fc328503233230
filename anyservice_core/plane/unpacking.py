"""Unpacking what somebody uploaded, and refusing what no honest packer writes.

A zip is a list of names and sizes that its writer made up, so the whole list is looked at before a byte is written:
nothing leads out of the folder, nothing is there twice, nothing is a link or a device, and what comes out of it has a
size that can be meant. Files come out as 0600, or 0700 if they were executable, folders as 0700.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NoReturn

from anyservice_core.errors import RejectedError

__all__ = ["DAMAGED", "MOST_BYTES", "MOST_ENTRIES", "inspect", "is_executable", "unpack"]

MOST_ENTRIES: Final = 100_000
MOST_BYTES: Final = 16 * 2**30
_ANY_RATIO_BYTES: Final = 256 * 2**20  # up to here it does not matter how well something was packed
_MOST_RATIO: Final = 200
_MOST_NAME: Final = 255
_MOST_PATH: Final = 1024
_MOST_DEPTH: Final = 64
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_UNIX: Final = 3
_ENCRYPTED: Final = 0x1
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError)


def inspect(source: Path, called: str) -> None:
    """Look at the list of a zip, without unpacking it.

    Args:
        called: what the zip is called in errors.

    Raises:
        RejectedError: it is no zip, or holds what cannot be meant; naming the entry.
    """
    with _opened(source, called) as archive:
        _check(archive, source.stat().st_size, called)


def unpack(source: Path, folder: Path, called: str) -> None:
    """Unpack a zip into an empty folder.

    Raises:
        RejectedError: as ``inspect`` says, or an entry is damaged.
    """
    with _opened(source, called) as archive:
        _check(archive, source.stat().st_size, called)
        for entry in archive.infolist():
            try:
                _write(archive, entry, folder)
            except DAMAGED as error:
                _refuse(called, entry.filename, f"is damaged: {error}")
            except OSError as error:
                if error.errno is not None:  # the machine's fault; damaged bzip2 has no number
                    raise
                _refuse(called, entry.filename, f"is damaged: {error}")


def _opened(source: Path, called: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except (*DAMAGED, OSError) as error:
        raise RejectedError(f"{called} is not a zip file: {error}.", status=422) from None


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / entry.filename
    for parent in reversed(target.relative_to(folder).parents):
        (folder / parent).mkdir(mode=0o700, exist_ok=True)
    if entry.is_dir():
        target.mkdir(mode=0o700, exist_ok=True)
        return
    mode = 0o700 if is_executable(entry) else 0o600
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as out, archive.open(entry) as packed:
        shutil.copyfileobj(packed, out, 2**20)


def is_executable(entry: zipfile.ZipInfo) -> bool:
    """Say whether it comes out as a file that its owner may execute."""
    return bool(entry.external_attr >> 16 & 0o100)


# ── the list ────────────────────────────────────────────────────────────────


def _check(archive: zipfile.ZipFile, packed: int, called: str) -> None:
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise RejectedError(
            f"{called} has {len(entries)} entries; this plane takes {MOST_ENTRIES}.", status=422
        )
    for entry in entries:
        if problem := next(_problems(entry), None):
            _refuse(called, entry.filename, problem)
    _check_sizes(entries, packed, called)
    _check_places(entries, called)


def _problems(entry: zipfile.ZipInfo) -> Iterator[str]:
    """Give what is wrong with one entry by itself."""
    name = entry.filename
    parts = name.removesuffix("/").split("/")
    if "\0" in entry.orig_filename or re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", name):
        yield "has a name with control characters"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        yield "has an absolute path"
    if "\\" in entry.orig_filename or ".." in parts:
        yield "leads out of the folder"
    if "" in parts or "." in parts:
        yield "has an empty part in its path"
    if len(os.fsencode(name)) > _MOST_PATH or any(len(os.fsencode(part)) > _MOST_NAME for part in parts):
        yield f"has a name longer than {_MOST_NAME} bytes, or a path longer than {_MOST_PATH}"
    if len(parts) > _MOST_DEPTH:
        yield f"is more than {_MOST_DEPTH} folders deep"
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    if kind := _KINDS.get(stat.S_IFMT(mode)):
        yield f"is {kind}"
    if entry.flag_bits & _ENCRYPTED:
        yield "is encrypted"
    if entry.compress_type not in _METHODS:
        yield f"is packed by method {entry.compress_type}, which is not known here"


def _check_sizes(entries: Iterable[zipfile.ZipInfo], packed: int, called: str) -> None:
    """Refuse a bomb: more than can be meant, or so well packed that it is nothing but air."""
    total = 0
    for entry in entries:
        total += entry.file_size
        if total > MOST_BYTES:
            _refuse(called, entry.filename, f"makes it more than {MOST_BYTES >> 30} GiB when unpacked")
        if total > max(_ANY_RATIO_BYTES, packed * _MOST_RATIO):
            _refuse(called, entry.filename, f"makes it more than {_MOST_RATIO} times its size when unpacked")


def _check_places(entries: Iterable[zipfile.ZipInfo], called: str) -> None:
    """Refuse what is there twice: by name, a file that is a folder as well, or two that share the same bytes."""
    files: set[str] = set()
    folders: set[str] = set()
    for entry in entries:
        name = entry.filename.removesuffix("/")
        above = {name[:at] for at, letter in enumerate(name) if letter == "/"}
        if name in files or (not entry.is_dir() and name in folders) or above & files:
            _refuse(called, entry.filename, "is there twice")
        folders |= above
        (folders if entry.is_dir() else files).add(name)
    end, before = -1, ""
    for entry in sorted(entries, key=lambda one: one.header_offset):
        if entry.header_offset < end:
            _refuse(called, entry.filename, f"overlaps with '{before}'")
        end, before = entry.header_offset + entry.compress_size, entry.filename


def _refuse(called: str, entry: str, problem: str) -> NoReturn:
    shown = entry[:200].encode("unicode_escape").decode()
    raise RejectedError(
        f"{called} is refused: its entry '{shown}' {problem}.",
        hint="Pack the folder anew, with plain files and folders only.",
        status=422,
    )
