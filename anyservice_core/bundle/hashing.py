"""From a folder to the name that stands for what is in it.

Files are hashed in pieces, and the hash of a file is that of its pieces' hashes. So one large file keeps every processor
busy, and each piece can be told to be the right one before it is sent. SHA-256 is what processors compute fastest.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from anyservice_core.bundle.telling import Meter, Work, printable
from anyservice_core.bundle.walking import Member, Tree, unreadable
from anyservice_core.errors import ConfigError

__all__ = ["DIGEST", "PIECE", "Hashed", "hashed", "in_order", "piece", "read"]

J = TypeVar("J")
R = TypeVar("R")

PIECE: Final = 1 << 19  # bytes; part of every name, so another size gives everything another name
DIGEST: Final = 32  # bytes
_AT_ONCE: Final = min(
    8, (os.cpu_count() or 1) + 1
)  # disks and networks like to be asked for several things too
_AHEAD: Final = _AT_ONCE
_BATCH: Final = 16 * PIECE
_A_FILE: Final = PIECE // 16
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe in a file's place would wait for ever


@dataclass(frozen=True, slots=True)
class Hashed:
    """A folder, the ``name`` of its bundle, and for each member the digests of its pieces in a row."""

    tree: Tree
    digests: tuple[bytes, ...]
    name: str


class _Span(NamedTuple):
    """Some pieces of a file in a row, from ``first`` up to ``end``."""

    member: Member
    first: int
    end: int


def hashed(tree: Tree) -> Work[Hashed]:
    """Read all of a folder. Raises ``ConfigError`` naming the file that cannot be read, or that has become shorter."""
    files = [member for member in tree.members if member.size]
    meter = Meter("reading", tree.folder, [file.size for file in files])
    found: dict[str, bytearray] = {}
    batches = _batches(span for file in files for span in _spans(file))
    for spans, digests in in_order(lambda spans: (spans, _digests(tree, spans)), batches, 2 * _AT_ONCE):
        for span, digest in zip(spans, digests, strict=True):
            found.setdefault(span.member.name, bytearray()).extend(digest)
        yield from meter.passes(sum(_bytes(span) for span in spans), sum(span.first == 0 for span in spans))
    in_a_row = tuple(bytes(found.get(member.name, b"")) for member in tree.members)
    return Hashed(tree, in_a_row, f"pkg_{_whole(tree, in_a_row)}.zip")


def _whole(tree: Tree, digests: Iterable[bytes]) -> str:
    whole = hashlib.sha256(f"{tree.top}\0".encode())
    for member, digest in zip(tree.members, digests, strict=True):
        # Name and size say where each part of this ends, so that no two trees can look the same.
        whole.update(f"{member.name}\0{member.executable:d}{member.size}\0".encode() + digest)
    return whole.hexdigest()[:DIGEST]


# ── reading ─────────────────────────────────────────────────────────────────


def piece(tree: Tree, member: Member, number: int) -> bytes:
    """The bytes of one piece of a file, 0 being the first."""
    return read(tree, member, number * PIECE, min(PIECE, member.size - number * PIECE))


def read(tree: Tree, member: Member, offset: int, size: int) -> bytes:
    """Exactly so many bytes of a file. Raises ``ConfigError`` where they cannot be had."""
    try:
        descriptor = os.open(f"{tree.root}/{member.name}", _FLAGS)
        try:
            return b"".join(_reads(descriptor, offset, size))
        finally:
            os.close(descriptor)
    except EOFError:
        raise changed(tree, member) from None
    except OSError as error:
        raise unreadable(tree.field, member.name, error) from None


def _reads(descriptor: int, offset: int, size: int) -> Iterator[bytes]:
    while size > 0:
        some = os.pread(descriptor, size, offset)
        if not some:
            raise EOFError
        yield some
        offset, size = offset + len(some), size - len(some)


def changed(tree: Tree, member: Member) -> ConfigError:
    """The error for a file that is not what it was when the bundle got its name."""
    return ConfigError(
        f"{tree.field}: {printable(member.name)} changed while it was being packed.",
        hint="Deploy again when nothing writes to it any more, or add it to `excludes`.",
    )


# ── side by side ────────────────────────────────────────────────────────────


def in_order(function: Callable[[J], R], jobs: Iterable[J], ahead: int = _AHEAD) -> Generator[R, None, None]:
    """The results of ``function`` in the order of ``jobs``, of which so many are done ahead, in threads."""
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(_AT_ONCE, "anyservice-bundle") as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _spans(file: Member) -> Iterator[_Span]:
    pieces, most = -(-file.size // PIECE), _BATCH // PIECE
    for first in range(0, pieces, most):
        yield _Span(file, first, min(first + most, pieces))


def _batches(spans: Iterable[_Span]) -> Iterator[list[_Span]]:
    """As many together as make a job of a few milliseconds: handing one over costs more than reading a small file."""
    batch: list[_Span] = []
    size = 0
    for span in spans:
        batch.append(span)
        size += _bytes(span) + _A_FILE
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _bytes(span: _Span) -> int:
    return min(span.end * PIECE, span.member.size) - span.first * PIECE


def _digests(tree: Tree, spans: Iterable[_Span]) -> list[bytes]:
    return [
        b"".join(
            hashlib.sha256(piece(tree, span.member, number)).digest()
            for number in range(span.first, span.end)
        )
        for span in spans
    ]
