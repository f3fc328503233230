"""Two recordings of one scenario, brought to a form in which only what means something can differ.

Ids are made at random, so the n-th of a kind is called the n-th. A bundle's name is a hash of its bytes, which
the two clients compute differently, so it is an id too; what is in it is compared file by file. The name of the
top folder of a zip has no meaning to Ray for a working_dir and is left out.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from tests.official.recording import Recorded

__all__ = ["changes", "differences", "list_queries", "unzipped"]

_ASKS = re.compile(r"/(search|find_by_name|find_cloud_resource_by_name)/?$")
_ID = re.compile(r"(service2_|srv_|pkg_)[0-9a-z]{26,32}")
_BUNDLES = "/plane/v1/bundles/"
MISSING = "(nothing)"


def changes(requests: Sequence[Recorded]) -> list[dict[str, Any]]:
    """The requests that change something, or would: all but GETs and those that only search."""
    writes = [r for r in requests if r.method != "GET" and not _ASKS.search(r.path)]
    return _with_plain_ids([_plain(request) for request in writes])


def list_queries(requests: Sequence[Recorded]) -> list[dict[str, Any]]:
    """The questions for a page of services, in no particular order of their parameters."""
    asked = [r for r in requests if r.line.rstrip("/") == "GET /api/v2/services-v2"]
    return [_plain(request) for request in asked]


def _plain(request: Recorded) -> dict[str, Any]:
    upload = request.path.startswith(_BUNDLES)
    return {
        "line": request.line,
        "query": [] if upload else sorted(request.query),  # an upload's query is its signature
        "body": unzipped(request.raw) if upload else request.body,
    }


def unzipped(raw: bytes, *, top: bool = False) -> dict[str, str]:
    """What is in a zip: text by name, without the top folder's name unless it is asked for."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    # A folder with something in it needs no entry of its own.
    needless = {f"{parent}/" for name in found for parent in PurePosixPath(name).parents}
    names = {name: name if top else name.partition("/")[2] for name in found if name not in needless}
    return {names[name]: text for name, text in sorted(found.items()) if names.get(name)}


def _with_plain_ids(value: Any, known: dict[str, str] | None = None) -> Any:
    seen = {} if known is None else known
    if isinstance(value, str):
        return _ID.sub(lambda m: seen.setdefault(m[0], f"{m[1]}{len(seen) + 1}"), value)
    if isinstance(value, dict):
        return {key: _with_plain_ids(item, seen) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_plain_ids(item, seen) for item in value]
    return value


def differences(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, str]:
    """Every place where the two differ, as ``{"apply.body.name": "theirs != ours"}``."""
    lines = [request["line"] for request in theirs], [request["line"] for request in ours]
    if lines[0] != lines[1]:
        return {"requests": f"{lines[0]} != {lines[1]}"}
    found: dict[str, str] = {}
    for one, other in zip(theirs, ours, strict=True):
        place = one["line"].rstrip("/").rpartition("/")[2]
        found.update(_walk({**one, "line": ""}, {**other, "line": ""}, place))
    return found


def _walk(one: Any, other: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from _walk(one.get(key, MISSING), other.get(key, MISSING), f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _walk(left, right, f"{place}.{number}")
    elif one != other or type(one) is not type(other):
        yield place, f"{one!r} != {other!r}"
