"""A plane in one file: what it knows and what its services are made of, taken while it runs.

    manifest.json   what this is: format, time, where the plane listened, and each other file's SHA-256
    plane.db        services with their query tokens, events, traffic totals: a copy of one moment
    token           the plane's own token, so that clients go on as they are
    bundles/*.zip   the uploads that these services run

It is a zip of mode 0600, since whoever has it has the tokens. What can be made again is not in it: unpacked
uploads, installed requirements, logs, and hosts and router themselves. Nor is what never was the plane's: a
``working_dir`` that is a folder of this machine.

A restore checks all of it before it touches anything, and then puts it in place under the lock that a plane
holds, so none can start on half of it. The services come up again when the next plane does, at their old
addresses, since those are their ports.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from anyservice_core.errors import PlaneError
from anyservice_core.plane.addresses import bundles_of
from anyservice_core.plane.bundles import SCHEME
from anyservice_core.plane.control import left_running, read_record
from anyservice_core.plane.daemon import only_one
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import SCHEMA_VERSION, Store

__all__ = ["FORMAT", "Backup", "backup", "restore"]

FORMAT: Final = 1
_MANIFEST, _DATABASE, _TOKEN, _BUNDLES = "manifest.json", "plane.db", "token", "bundles"
# What a restore puts aside: all that is not made again by itself, and copies of uploads under the same names.
_REPLACED: Final = (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", _TOKEN, _BUNDLES, "code")
_SPARE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True)
class Backup:
    """What a backup has, or what was restored from one.

    ``urls`` are where each service answers, by its name; ``outside`` are folders that services run from and
    that are not in it; ``aside`` is where a restore put what was there before.
    """

    file: Path
    made_at: str
    host: str | None
    urls: Mapping[str, str]
    bundles: int
    outside: tuple[str, ...]
    size: int
    aside: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        plain = {"file": str(self.file), "aside": str(self.aside) if self.aside else None}
        return {**self.__dict__, **plain, "urls": dict(self.urls), "outside": list(self.outside)}


# ── making one ──────────────────────────────────────────────────────────────


def backup(state_dir: Path, target: Path, *, overwrite: bool = False) -> Backup:
    """Save the plane of ``state_dir`` to ``target``; it may run meanwhile, and nothing waits for this.

    Raises:
        PlaneError: there never was a plane, ``target`` is there already, or it cannot be written.
    """
    if not (state_dir / _DATABASE).exists():
        raise PlaneError(
            f"no plane has ever run on {state_dir}: there is nothing to save.",
            hint="ANYSERVICE_STATE_DIR says which folder is meant.",
        )
    if target.exists() and not overwrite:
        raise PlaneError(f"{target} is there already.", hint="Name another file, or say --overwrite.")
    with _told_as(f"{target} cannot be written"), _beside(target) as folder:
        services, found = _snapshot(state_dir, folder / _DATABASE)
        files = {_DATABASE: folder / _DATABASE, **_token_of(state_dir), **found}
        manifest = _manifest(state_dir, services, files)
        draft = folder / "backup"
        _pack(draft, manifest, files)
        draft.replace(target)
    return _told(manifest, target)


def _snapshot(state_dir: Path, copy: Path) -> tuple[list[Service], dict[str, Path]]:
    """Copy what the plane knows, and find the uploads it speaks of; again, if one of them went meanwhile."""
    for _ in range(5):
        _copy(state_dir / _DATABASE, copy)
        services = _services(copy)
        files = {f"{_BUNDLES}/{name}": state_dir / _BUNDLES / name for name in _bundle_names(services)}
        if all(path.exists() for path in files.values()):
            return services, files
    return services, {name: path for name, path in files.items() if path.exists()}


def _copy(source: Path, copy: Path) -> None:
    """Copy a database as it is at one moment, whoever writes to it."""
    copy.unlink(missing_ok=True)
    copy.touch(mode=0o600)
    address = f"{source.absolute().as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(address, uri=True)) as live,
        contextlib.closing(sqlite3.connect(copy)) as saved,
    ):
        live.backup(saved)


def _services(database: Path) -> list[Service]:
    with contextlib.closing(Store(database)) as store:
        return store.services()


def _bundle_names(services: Iterable[Service]) -> list[str]:
    uris = {uri for one in services for spec in one.specs for uri in bundles_of(spec)}
    return sorted(uri.rpartition("/")[2] for uri in uris if uri.startswith(f"{SCHEME}:"))


def _token_of(state_dir: Path) -> dict[str, Path]:
    path = state_dir / _TOKEN
    return {_TOKEN: path} if path.exists() else {}


def _manifest(state_dir: Path, services: list[Service], files: Mapping[str, Path]) -> dict[str, Any]:
    record = read_record(state_dir)
    uris = {uri for one in services for spec in one.specs for uri in bundles_of(spec)}
    return {
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": record["host"] if record else None,
        "urls": {one.name: f"http://127.0.0.1:{one.port}" for one in services if not one.archived},
        "outside": sorted(uri for uri in uris if not uri.startswith(f"{SCHEME}:")),
        "files": {name: _digest(path) for name, path in files.items()},
    }


def _pack(target: Path, manifest: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))
            for name, path in files.items():
                packed = zipfile.ZIP_STORED if path.suffix == ".zip" else zipfile.ZIP_DEFLATED
                archive.write(path, name, compress_type=packed)
        file.flush()
        os.fsync(file.fileno())


# ── reading one ─────────────────────────────────────────────────────────────


def restore(source: Path, state_dir: Path, *, replace: bool = False, new_token: bool = False) -> Backup:
    """Make ``state_dir`` what it was when ``source`` was saved; the next plane on it starts the services.

    Args:
        replace: even if there are services in it already; what was there is put aside, not removed.
        new_token: let the next plane make itself another token. Services keep theirs.

    Raises:
        PlaneError: a plane or something of one runs on it, it has services, or ``source`` is no whole backup.
            Nothing was changed then.
    """
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with only_one(state_dir):
        if running := left_running(state_dir):
            raise PlaneError(
                f"{running} of an earlier plane still run on {state_dir}.",
                hint="`anyservice plane down` stops them.",
            )
        if present := _present(state_dir, replace=replace):
            raise PlaneError(
                f"{state_dir} has {present} already.",
                hint="Say --replace to put aside what is there, or restore to another ANYSERVICE_STATE_DIR.",
            )
        with _told_as(f"{state_dir} cannot be written"), _drafts(state_dir) as folder:
            manifest = _unpack(source, folder)
            _services(folder / _DATABASE)  # readable, and of no later schema
            if new_token:
                (folder / _TOKEN).unlink(missing_ok=True)
            aside = _put_aside(state_dir)
            for path in folder.iterdir():
                path.rename(state_dir / path.name)
    return _told(manifest, source, aside=aside)


def _present(state_dir: Path, *, replace: bool) -> str:
    """Say what would be lost."""
    if replace or not (state_dir / _DATABASE).exists():
        return ""
    names = [service.name for service in _services(state_dir / _DATABASE)]
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} service(s) ({shown})" if names else ""


def _unpack(source: Path, folder: Path) -> dict[str, Any]:
    """Check a backup and write its files to ``folder``; names that no backup has are not written."""
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = _checked_manifest(archive, source)
            names = [name for name in manifest["files"] if _is_ours(name)]
            _check_space(folder, sum(archive.getinfo(name).file_size for name in names))
            (folder / _BUNDLES).mkdir(mode=0o700)
            for name in names:
                with archive.open(name) as packed:
                    _write(packed, folder / name)
                if _digest(folder / name) != manifest["files"][name]:
                    raise _damaged(source, f"{name} is not what was saved")
    except FileNotFoundError:
        raise PlaneError(f"there is no file {source.absolute()}.") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, EOFError) as error:
        raise _damaged(source, str(error)) from error
    if not (folder / _DATABASE).exists():
        raise _damaged(source, f"it has no {_DATABASE}")
    return manifest


def _checked_manifest(archive: zipfile.ZipFile, source: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(archive.read(_MANIFEST))
    if manifest["format"] > FORMAT or manifest["schema"] > SCHEMA_VERSION:
        raise PlaneError(
            f"{source} was made by a newer anyservice (format {manifest['format']}, schema {manifest['schema']}).",
            hint="Upgrade anyservice.",
        )
    return manifest


def _is_ours(name: str) -> bool:
    folder, _, last = name.rpartition("/")
    in_bundles = folder == _BUNDLES and last.endswith(".zip") and not last.startswith(".")
    return name in {_DATABASE, _TOKEN} or in_bundles


def _damaged(source: Path, why: str) -> PlaneError:
    return PlaneError(f"{source} is no whole backup of a plane: {why}.", hint="Take another one.")


def _check_space(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _SPARE_BYTES:
        raise PlaneError(
            f"{folder.parent} has room for {free >> 20} MiB; {size >> 20} MiB and some are needed."
        )


def _write(packed: IO[bytes], path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        shutil.copyfileobj(packed, file)
        file.flush()
        os.fsync(file.fileno())


def _put_aside(state_dir: Path) -> Path | None:
    """Move what is there to a folder of its own; give that, or nothing where nothing was."""
    there = [path for name in _REPLACED if (path := state_dir / name).exists()]
    if not there:
        return None
    aside = state_dir / f"before-restore-{time.strftime('%Y%m%d-%H%M%S')}"
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    return aside


# ── both ────────────────────────────────────────────────────────────────────


def _told(manifest: Mapping[str, Any], file: Path, *, aside: Path | None = None) -> Backup:
    return Backup(
        file=file,
        made_at=manifest["made_at"],
        host=manifest["host"],
        urls=manifest["urls"],
        bundles=sum(name.startswith(f"{_BUNDLES}/") for name in manifest["files"]),
        outside=tuple(manifest["outside"]),
        size=file.stat().st_size,
        aside=aside,
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _told_as(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PlaneError(f"{what}: {error.strerror or error}.") from error


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder on the same disk as ``target``, for nobody else, that goes when it is no longer needed."""
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=f".{target.name}-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def _drafts(state_dir: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=state_dir, prefix="restore-") as folder:
        yield Path(folder)
