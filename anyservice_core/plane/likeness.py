"""Whether a deploy is of what runs already, although its uploads have other names.

Official clients name an upload after its zip, which holds the times of the files: the same folder has another name on
each machine, and after each checkout. What a version is made of are names, bytes and executable bits, as they are
unpacked, so a deploy whose uploads hold the same as those of the version it means is a deploy of that version.

The zips are compared, not the unpacked copies: a version runs in its copy, and may have written to it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from anyservice_core.models.wire import ApplyService
from anyservice_core.plane.changes import meant
from anyservice_core.plane.state import Service
from anyservice_core.plane.unpacking import DAMAGED, is_executable

__all__ = ["alike", "as_known"]

Apply = TypeVar("Apply", bound=ApplyService)
ZipOf: TypeAlias = Callable[[str], Path | None]
_Directory: TypeAlias = tuple[str, bool]
_PIECE: Final = 2**20


def as_known(service: Service | None, apply: Apply, zip_of: ZipOf) -> Apply:
    """Give a deploy with the uploads of the version that it means in the place of its own, if those hold the same.

    Args:
        zip_of: gives the zip of a URI, if it is an upload.
    """
    ours = apply.ray_serve_config
    for version in meant(service, apply) if service else ():
        theirs = version.wanted["ray_serve_config"]
        pairs = [*zip_longest(_directories(ours), _directories(theirs))]
        if _without(ours) == _without(theirs) and all(_same(a, b, zip_of) for a, b in pairs):
            return apply.model_copy(update={"ray_serve_config": theirs})
    return apply


def _same(one: _Directory | None, other: _Directory | None, zip_of: ZipOf) -> bool:
    if one is None or other is None or one == other:
        return one == other
    mine, theirs = zip_of(one[0]), zip_of(other[0])
    return (
        one[1] == other[1] and mine is not None and theirs is not None and alike(mine, theirs, named=one[1])
    )


def _directories(serve: Mapping[str, Any]) -> Iterator[_Directory]:
    """Give each directory that is named, in order, and whether it is a module, whose own name counts."""
    for application in serve["applications"]:
        environment = application.get("runtime_env") or {}
        yield environment.get("working_dir") or "", False
        yield from ((module, True) for module in environment.get("py_modules") or ())


def _without(serve: Mapping[str, Any]) -> dict[str, Any]:
    return {**serve, "applications": [_bare(application) for application in serve["applications"]]}


def _bare(application: Mapping[str, Any]) -> dict[str, Any]:
    given = application.get("runtime_env") or {}
    rest = {name: value for name, value in given.items() if name not in {"working_dir", "py_modules"}}
    return {**application, "runtime_env": rest}


# ── two zips ────────────────────────────────────────────────────────────────


def alike(one: Path, other: Path, *, named: bool) -> bool:
    """Say whether two zips unpack to the same names, bytes and executable bits.

    Args:
        named: the name of a single folder around all of it counts.
    """
    try:
        with zipfile.ZipFile(one) as mine, zipfile.ZipFile(other) as others:
            pairs = _pairs(_files(mine, named=named), _files(others, named=named))
            return pairs is not None and all(_same_bytes(mine, a, others, b) for a, b in pairs)
    except (*DAMAGED, OSError):
        return False


_Files: TypeAlias = Mapping[str, zipfile.ZipInfo]
_Pairs: TypeAlias = list[tuple[zipfile.ZipInfo, zipfile.ZipInfo]]


def _files(archive: zipfile.ZipFile, *, named: bool) -> _Files:
    found = {entry.filename: entry for entry in archive.infolist()}
    tops = {name.partition("/")[0] for name in found}
    if named or len(tops) != 1 or not all("/" in name for name in found):
        return found
    return {name.partition("/")[2]: entry for name, entry in found.items()}


def _pairs(ours: _Files, theirs: _Files) -> _Pairs | None:
    """Give those of the same name, unless the lists alone tell that something differs."""
    if _places(ours) != _places(theirs):
        return None
    both = [(entry, theirs[name]) for name, entry in ours.items() if not entry.is_dir()]
    return both if all(_listed(one) == _listed(other) for one, other in both) else None


def _places(files: _Files) -> tuple[set[str], set[str]]:
    """Give the files, and the folders, whether those have entries of their own or not."""
    plain = {name for name, entry in files.items() if not entry.is_dir()}
    folders = {name[: at + 1] for name in files for at, letter in enumerate(name) if letter == "/"}
    return plain, folders


def _listed(entry: zipfile.ZipInfo) -> tuple[int, int, bool]:
    return entry.file_size, entry.CRC, is_executable(entry)


def _same_bytes(
    mine: zipfile.ZipFile, one: zipfile.ZipInfo, others: zipfile.ZipFile, other: zipfile.ZipInfo
) -> bool:
    with mine.open(one) as ours, others.open(other) as theirs:
        while piece := ours.read(_PIECE):
            if piece != theirs.read(len(piece)):
                return False
        return not theirs.read(1)
