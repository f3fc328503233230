"""Uploaded working directories: kept as zips, unpacked once, named by their content.

An upload goes to a temporary name beside its place and is renamed when it is whole, so a broken
upload is never taken for a bundle. Its URI is ``anyservice://bundles/<file name>``.

A bundle goes when the last service that names it is deleted, and else when none names it and nobody asked
for it for a day: that of a canary that was rolled back, or an upload that no deploy followed. When somebody
last asked is kept as the file's time of access. Unpacked copies go with their bundle.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import hmac
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from anyservice_core.errors import AuthError, ConflictError, PlaneError, RejectedError
from anyservice_core.plane.addresses import check_remote, is_remote, without_secrets
from anyservice_core.plane.guard import same
from anyservice_core.plane.unpacking import inspect, unpack

__all__ = [
    "KEEP_S",
    "PASS_S",
    "SCHEME",
    "Bundles",
]

SCHEME = "anyservice"
KEEP_S = 86_400.0
PASS_S = 3_600.0
_ASK = "Ask for another one; clients do so at the next deploy."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.zip")


class Bundles:
    """Zips under ``root/bundles``, unpacked copies under ``root/code``; ``key`` signs upload URLs."""

    def __init__(self, root: Path, *, key: str, clock: Callable[[], float] = time.time) -> None:
        self._zips = root / "bundles"
        self._code = root / "code"
        self._key = key.encode()
        self._clock = clock
        self.fetched = root / "fetched"  # which bundle came from which address
        for folder in (self._zips, self._code, self.fetched):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def uri(self, name: str) -> str:
        return f"{SCHEME}://bundles/{_checked(name)}"

    def has(self, name: str) -> bool:
        """Say whether a bundle is there; whoever asks is about to deploy it, so it is kept for a while."""
        return _touched(self._zips / _checked(name))

    def zip_of(self, uri: str) -> Path | None:
        """Give the zip of an upload that is here; of all else, nothing."""
        path = next((self._zips / name for name in _names([uri])), None)
        return path if path and path.is_file() else None

    def pass_for(self, name: str) -> str:
        """Give the query of an upload URL: good for this name, for ``PASS_S`` seconds and one content."""
        expires = str(int((self._clock() + PASS_S) * 1000))
        return f"expires={expires}&signature={self._signature(_checked(name), expires)}"

    def admit(self, name: str, shown: Mapping[str, str]) -> float:
        """Look at the query of an upload URL; give when it was issued.

        Raises:
            AuthError: this plane did not give it out for this name, or it is too old.
        """
        expires = shown.get("expires", "")
        if not same(shown.get("signature", ""), self._signature(name, expires)):
            raise AuthError("the upload URL is not one that this plane gave out.", hint=_ASK, status=403)
        until = int(expires) / 1000
        if until <= self._clock():
            raise AuthError("the upload URL is too old.", hint=_ASK, status=403)
        return until - PASS_S

    def _signature(self, name: str, expires: str) -> str:
        """Sign a name and a time, so that an upload URL works without the token, and for one file only."""
        text = f"anyservice-upload\0{name}\0{expires}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def draft(self) -> Path:
        """Give a new empty file to write an upload into."""
        handle, path = tempfile.mkstemp(dir=self._zips, suffix=".part")
        os.close(handle)
        return Path(path)

    def keep(self, name: str, draft: Path, *, issued: float = math.inf, called: str = "") -> None:
        """Take a whole upload in under its name.

        Args:
            issued: when its URL was given out. A URL that was used already takes the same bytes again, from a client
                that did not hear the answer, and no others.
            called: what it is called in errors; its name, unless given.

        Raises:
            RejectedError: it is no zip, or one that ``unpacking`` refuses.
            ConflictError: its URL was used for other bytes.
        """
        inspect(draft, called or f"bundle '{name}'")
        target = self._zips / _checked(name)
        if _changed(target) >= issued:
            if not filecmp.cmp(draft, target, shallow=False):
                raise ConflictError(
                    f"the upload URL of '{name}' was used already, for another file.", hint=_ASK, status=409
                )
            return
        now = int(self._clock() * 1e9)
        os.utime(draft, ns=(now, now))
        draft.replace(target)

    def check(self, uri: str, *, field: str) -> None:
        """Refuse a working_dir that this plane cannot serve, before anything is started.

        Raises:
            RejectedError: an unknown scheme, a bundle that was not uploaded, or what is no folder and no zip.
        """
        if is_remote(uri):  # what it serves is looked at when it is fetched
            check_remote(uri, field)
            return
        path = self._source(uri, field)
        if path.parent == self._zips:
            _touched(path)
        elif not path.is_dir():
            inspect(path, f"{field} '{uri}'")

    def directory(self, uri: str) -> Path:
        """Give the unpacked directory of a working_dir or py_module, unpacking it the first time.

        Raises:
            RejectedError: it is not there, or a zip that ``unpacking`` refuses.
            PlaneError: this machine cannot unpack it, for example because its disk is full.
        """
        source = self._source(uri, "working_dir")
        if source.is_dir():
            return source
        target = self._code / _folder_name(source)
        try:
            if not target.is_dir():
                self._unpack(source, target)
            return _inner(target)
        except OSError as error:
            raise PlaneError(
                f"'{uri}' cannot be unpacked: {error.strerror}.", hint=f"Look at {self._code}."
            ) from error

    def prepare(self, name: str) -> None:
        """Unpack an upload now, and not in the loop that all services wait for; what is wrong with it, a deploy tells."""
        with contextlib.suppress(RejectedError, PlaneError):
            self.directory(self.uri(name))

    def forget(self, uris: Iterable[str]) -> None:
        """Remove these bundles and their unpacked copies; what is no bundle, or is gone, is left alone."""
        for name in _names(uris):
            self._remove(self._zips / name)

    def collect(self, used: Iterable[str], *, keep_s: float = KEEP_S) -> list[str]:
        """Remove what is not in ``used``, and was not asked for within ``keep_s``; give the names.

        ``used`` are the URIs of every version of every service.
        """
        used = [*used]
        names, before = _names(used), self._clock() - keep_s
        gone = [path for path in self._zips.iterdir() if path.name not in names and _last(path) < before]
        for path in gone:
            self._remove(path)
        kept = {path.stem for path in self._zips.iterdir()} | {Path(urlsplit(uri).path).stem for uri in used}
        for folder in self._code.iterdir():
            if folder.name.rpartition("-")[0] not in kept and _last(folder) < before:
                shutil.rmtree(folder, ignore_errors=True)
        for record in self.fetched.iterdir():
            if _last(record) < before:  # the address is then asked without conditions
                record.unlink(missing_ok=True)
        return [path.name for path in gone]

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        for folder in self._code.iterdir():
            if folder.name.rpartition("-")[0] == path.stem:
                shutil.rmtree(folder, ignore_errors=True)

    def _source(self, uri: str, field: str) -> Path:
        scheme, path, missing = self._place(uri, field)
        if is_remote(uri):
            raise RejectedError(
                f"{field} '{without_secrets(uri)}' was not fetched.", hint="Deploy it again.", status=422
            )
        if path is None:
            raise RejectedError(
                f"{field} '{without_secrets(uri)}': this plane reads uploads, file:// paths and https:// zips, not"
                f" {scheme or 'bare'} ones{'; on the way, http:// may be changed' if scheme == 'http' else ''}.",
                hint="Give a local directory, which is uploaded, or the https:// address of a zip; a storage service"
                " can sign one.",
                status=422,
            )
        if not _exists(path):
            raise RejectedError(f"{field} '{uri}' {missing}.", hint="Deploy it again.", status=422)
        if not (path.is_dir() or path.is_file()):  # a device would be read for ever
            raise RejectedError(f"{field} '{uri}' is no folder and no file.", status=422)
        return path

    def _place(self, uri: str, field: str) -> tuple[str, Path | None, str]:
        """Give the scheme of a URI, where it leads to if to anything here, and what to say if that is missing."""
        try:
            parts = urlsplit(uri)
        except ValueError as error:
            raise RejectedError(f"{field} '{without_secrets(uri)}' is no URI: {error}.", status=422) from None
        if parts.scheme == SCHEME:
            return SCHEME, self._zips / _checked(parts.path.lstrip("/")), "was never uploaded to this plane"
        if parts.scheme == "file":
            if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
                raise RejectedError(
                    f"{field} '{uri}' is not a place on the plane's machine.",
                    hint="Write it as file:///path/to/folder.",
                    status=422,
                )
            return "file", Path(url2pathname(parts.path)), "does not exist on the plane's machine"
        return parts.scheme, None, ""

    def _unpack(self, source: Path, target: Path) -> None:
        draft = Path(tempfile.mkdtemp(dir=self._code, suffix=".part"))
        try:
            unpack(source, draft, f"bundle '{source.name}'")
            try:
                draft.replace(target)
            except OSError:
                if not target.is_dir():  # else another thread was as quick
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _names(uris: Iterable[str]) -> set[str]:
    """Give the file names of those that are bundles."""
    parts = [urlsplit(uri) for uri in uris]
    names = {part.path.lstrip("/") for part in parts if part.scheme == SCHEME}
    return {name for name in names if _NAME.fullmatch(name)}


def _touched(path: Path) -> bool:
    """Note that somebody asked for it; its time of change stays, since copies are named by that."""
    with contextlib.suppress(PermissionError):  # a directory of somebody else's
        try:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return False
    return True


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for one
        return False


def _changed(path: Path) -> float:
    """When it was uploaded; never, if it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return -math.inf


def _last(path: Path) -> float:
    """When somebody last asked for it, or it was made."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        return time.time()
    return max(seen.st_atime, seen.st_mtime)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise RejectedError(
            f"file_name '{name}' is not a bundle's name.",
            hint="Use letters, digits, ._- and .zip.",
            status=422,
        )
    return name


def _folder_name(source: Path) -> str:
    """Name the unpacked copy: uploads by their own name, foreign zips by path and age as well."""
    seen = source.stat()
    mark = f"{source}:{seen.st_mtime_ns}:{seen.st_size}"
    return f"{source.stem}-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"


def _inner(folder: Path) -> Path:
    """Step into the single top-level folder that working_dir zips have."""
    entries: list[Any] = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
