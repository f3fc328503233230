"""A local folder as a zip that is the same wherever and whenever it is made.

The name of a bundle is a hash of what is in it: paths, executable bits and bytes, in sorted order.
Times, owners, the order of the file system and the zip format itself have no say. So an unchanged folder is
uploaded once, whoever deploys it, and a rollout whose identity includes the bundle's URI survives being run
again on another machine.

What is left out: what version control and Python leave lying about (``ALWAYS_OUT``), ``.env`` files, whatever
the folder's ``.gitignore`` files say, and the user's ``excludes``. These are gitignore patterns, so
``!.env`` in ``excludes`` brings one back. Symbolic links are followed, a link to a folder above itself is not.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pathspec

from anyservice_core.errors import ConfigError

__all__ = ["ALWAYS_OUT", "Bundle", "build", "read_requirements", "read_text"]

ALWAYS_OUT: Final = (".git/", ".venv/", "venv/", "__pycache__/", ".env")
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)
_CHUNK: Final = 1 << 20
_SAMPLE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip on disk, in bytes, and the name that stands for what is in it."""

    name: str
    path: Path
    size: int

    def discard(self) -> None:
        """Remove the zip."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Entry:
    source: Path
    name: str  # relative, with forward slashes; a folder's ends in one
    executable: bool = False


def build(folder: str, excludes: Sequence[str] = (), module: bool = False) -> Bundle:
    """Zip ``folder`` below one top-level folder, which is how Ray wants it.

    That one is always called the same, so that it has no say in the hash either; only that of a ``module``,
    an entry of ``py_modules``, keeps its name, since that is what is imported. Raises ``ConfigError`` when there is no such folder, or a file in it cannot be read.
    """
    root = _existing(folder)
    top = root.name if module else "app"
    handle, name = tempfile.mkstemp(prefix="anyservice-", suffix=".zip")
    os.close(handle)
    path = Path(name)
    try:
        digest = _write(path, _entries(root, excludes), top)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError(f"working_dir: cannot read {error.filename!r}: {error.strerror}.") from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Bundle(f"pkg_{digest}.zip", path, path.stat().st_size)


def _existing(folder: str) -> Path:
    root = Path(folder).expanduser().resolve()
    if not root.exists():
        raise ConfigError(f"working_dir: {folder!r} does not exist.", hint=f"It was looked for at {root}.")
    if not root.is_dir():
        raise ConfigError(
            f"working_dir: {folder!r} is not a folder.", hint="Give a folder, or the URI of a zip."
        )
    return root


# ── what goes in ────────────────────────────────────────────────────────────


def _entries(root: Path, excludes: Sequence[str]) -> Iterator[_Entry]:
    first = pathspec.GitIgnoreSpec.from_lines([*ALWAYS_OUT])
    last = pathspec.GitIgnoreSpec.from_lines([*excludes])
    yield from _walk(root, "", [_Rules("", first)], last, above=frozenset({root}))


@dataclass(frozen=True, slots=True)
class _Rules:
    """The patterns of one ``.gitignore``, which hold for the folder that it lies in and below."""

    base: str
    spec: pathspec.GitIgnoreSpec

    def verdict(self, name: str) -> bool | None:
        """Out, explicitly in, or nothing said."""
        return self.spec.check_file(name.removeprefix(self.base)).include


def _walk(
    folder: Path, base: str, rules: list[_Rules], last: pathspec.GitIgnoreSpec, above: frozenset[Path]
) -> Iterator[_Entry]:
    here = [*rules, *_gitignore(folder, base)]
    children = sorted(folder.iterdir(), key=lambda child: child.name)
    for child in children:
        name = f"{base}{child.name}/" if child.is_dir() else f"{base}{child.name}"
        if _is_out(name, here, last):
            continue
        if child.is_dir():
            real = child.resolve()
            if real not in above:
                yield _Entry(child, name)
                yield from _walk(child, name, here, last, above | {real})
        elif child.is_file():
            yield _Entry(child, name, executable=bool(child.stat().st_mode & stat.S_IXUSR))


def _gitignore(folder: Path, base: str) -> list[_Rules]:
    file = folder / ".gitignore"
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return [_Rules(base, pathspec.GitIgnoreSpec.from_lines(lines))]


def _is_out(name: str, rules: Sequence[_Rules], last: pathspec.GitIgnoreSpec) -> bool:
    """The last that has something to say decides; the user's own ``excludes`` come after all the rest."""
    said = [verdict for rule in [*rules, _Rules("", last)] if (verdict := rule.verdict(name)) is not None]
    return bool(said and said[-1])


# ── the zip ─────────────────────────────────────────────────────────────────


def _write(path: Path, entries: Iterator[_Entry], top: str) -> str:
    digest = hashlib.sha256(f"{top}\0".encode())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(_info(f"{top}/", executable=True), b"")
        for entry in entries:
            digest.update(f"{entry.name}\0{entry.executable:d}\0".encode())
            digest.update(_add(archive, entry, top))
    return digest.hexdigest()[:32]


def _add(archive: zipfile.ZipFile, entry: _Entry, top: str) -> bytes:
    """Put one file or folder in, and give back the hash of its bytes."""
    info, digest = _info(f"{top}/{entry.name}", executable=entry.executable), hashlib.sha256()
    if entry.name.endswith("/"):
        archive.writestr(info, b"")
        return digest.digest()
    with entry.source.open("rb") as source:
        chunk = source.read(_CHUNK)
        info.compress_type = zipfile.ZIP_DEFLATED if _shrinks(chunk) else zipfile.ZIP_STORED
        with archive.open(info, "w", force_zip64=True) as target:
            while chunk:
                digest.update(chunk)
                target.write(chunk)
                chunk = source.read(_CHUNK)
    return digest.digest()


def _shrinks(beginning: bytes) -> bool:
    """Whether compressing is worth its time; for most of a model's weights it is not."""
    sample = beginning[:_SAMPLE]
    return len(zlib.compress(sample, 1)) < 0.9 * len(sample)


def _info(name: str, *, executable: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=_LONG_AGO)
    folder = name.endswith("/")
    info.create_system = 3  # Unix, so that the mode below is honoured
    info.external_attr = (
        (stat.S_IFDIR | 0o755) if folder else (stat.S_IFREG | (0o755 if executable else 0o644))
    ) << 16
    return info


# ── text files ──────────────────────────────────────────────────────────────


def read_text(field: str, path: str) -> str:
    """The text of a file that ``field`` of a config names."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{field}: cannot read {path!r}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{field}: {path!r} is not a text file in UTF-8.") from None


def read_requirements(path: str) -> list[str]:
    """The lines of a requirements file without comments and blanks."""
    lines = read_text("requirements", path).splitlines()
    bare = (line.split(" #")[0].strip() for line in lines if not line.lstrip().startswith("#"))
    return [line for line in bare if line]
