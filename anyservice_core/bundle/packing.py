"""From a folder to a zip that can be sent, of a length that is known before.

What shrinks, and all that is small, is packed into a temporary file; large files in pieces, each on its own, so that every
processor helps. What does not shrink, such as the weights of most models, stays where it is until it is sent: it is read,
compared with its digest and passed on, a piece at a time. What is not as it was when the bundle got its name is never
passed on, so the upload breaks off.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import IO, Final, NamedTuple

from anyservice_core.bundle.hashing import DIGEST, PIECE, Hashed, changed, in_order, piece, read
from anyservice_core.bundle.telling import Meter, Work
from anyservice_core.bundle.walking import Member, Tree
from anyservice_core.bundle.zipping import DEFLATED, STORED, Record, directory_end, fill_in
from anyservice_core.errors import ConfigError

__all__ = ["Archive", "packed"]

_SMALL: Final = 1 << 16
_CHUNK: Final = 1 << 18
_LEVEL: Final = 1
_WORTH_IT: Final = 0.9
_SAMPLES, _SAMPLE = 4, 1 << 10


class _Piece(NamedTuple):
    """A piece of a file, and the digest that it had."""

    tree: Tree
    member: Member
    number: int
    digest: bytes

    def read(self) -> bytes:
        """Its bytes. Raises ``ConfigError`` where they are not what they were."""
        data = piece(self.tree, self.member, self.number)
        if hashlib.sha256(data).digest() != self.digest:
            raise changed(self.tree, self.member)
        return data

    def deflated(self) -> tuple[bytes, bytes]:
        """Its bytes, as they are and compressed, in a form that others' can be put behind."""
        data = self.read()
        is_last = (self.number + 1) * PIECE >= self.member.size
        return data, _deflated(data, zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)


class _Spooled(NamedTuple):
    """Part of the zip that is in the temporary file."""

    begin: int
    end: int


class _Own(NamedTuple):
    """A member that is sent from where it lies. Its checksum is computed on the way, and belongs to ``place`` in the directory."""

    record: Record
    pieces: tuple[_Piece, ...]
    place: int


@dataclass(frozen=True, slots=True, repr=False)
class Archive:
    """A zip of ``size`` bytes. Its ``chunks`` can be read more than once, until it is closed."""

    size: int
    parts: tuple[_Spooled | _Own, ...]
    directory: bytes
    spool: IO[bytes]

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the zip. Raises ``ConfigError`` naming a file that is not what it was when it was hashed."""
        return _gathered(self._bytes())

    def close(self) -> None:
        """Remove the temporary file."""
        self.spool.close()

    def _bytes(self) -> Iterator[bytes]:
        directory = bytearray(self.directory)
        pieces = (one for part in self.parts if isinstance(part, _Own) for one in part.pieces)
        with closing(in_order(_Piece.read, pieces)) as read_ahead:
            for part in self.parts:
                if isinstance(part, _Own):
                    crc = yield from _sent(part.record, islice(read_ahead, len(part.pieces)))
                    fill_in(directory, part.place, crc)
                else:
                    yield from self._spooled(part)
        yield bytes(directory)

    def _spooled(self, part: _Spooled) -> Iterator[bytes]:
        for offset in range(part.begin, part.end, _CHUNK):
            yield os.pread(self.spool.fileno(), min(_CHUNK, part.end - offset), offset)


def packed(hashed: Hashed) -> Work[Archive]:
    """Compress what shrinks. Raises ``ConfigError`` naming a file that is not what it was when it was hashed."""
    tree = hashed.tree
    meter = Meter("packing", tree.folder, [member.size for member in tree.members if member.size])
    with _spool(tree) as spool:
        packer = _Packer(tree, spool)
        for member, digests in zip(tree.members, hashed.digests, strict=True):
            for size in packer.add(member, digests):
                yield from meter.passes(size)
            yield from meter.passes(0, files=min(member.size, 1))
        return packer.archive()


@contextmanager
def _spool(tree: Tree) -> Iterator[IO[bytes]]:
    """A temporary file without a name, which nothing leaves behind. It is closed only if something goes wrong."""
    spool: IO[bytes] | None = None
    try:
        spool = tempfile.TemporaryFile(prefix="anyservice-", buffering=_CHUNK)  # noqa: SIM115
        yield spool
    except BaseException as error:
        if spool:
            with suppress(OSError):  # it may be full
                spool.close()
        if isinstance(error, OSError):  # those of the folder itself are ours by now
            raise ConfigError(
                f"{tree.field}: cannot be packed: {error.strerror}.",
                hint="That needs room for a temporary file; TMPDIR names the folder for it.",
            ) from None
        raise


class _Packer:
    """Takes in one member after the other. ``size`` is that of the zip so far, ``kept`` that of the temporary file."""

    def __init__(self, tree: Tree, spool: IO[bytes]) -> None:
        self.tree, self.spool = tree, spool
        self.parts: list[_Spooled | _Own] = []
        self.directory = bytearray()
        self.count = self.size = self.kept = 0
        self._keep(Record(f"{tree.top}/"))

    def archive(self) -> Archive:
        end = directory_end(self.count, len(self.directory), self.size)
        directory = bytes(self.directory) + end
        self.spool.flush()
        return Archive(self.size + len(directory), tuple(self.parts), directory, self.spool)

    def add(self, member: Member, digests: bytes) -> Iterator[int]:
        """Pack one; yields how many bytes are done."""
        pieces = tuple(
            _Piece(self.tree, member, number, digests[number * DIGEST : (number + 1) * DIGEST])
            for number in range(len(digests) // DIGEST)
        )
        if member.size <= _SMALL:
            self._add_small(member, pieces)
            yield member.size
        elif not (_shrinks(self.tree, member) and (yield from self._add_large(member, pieces))):
            self._add_own(member, pieces)
            yield member.size

    def _add_small(self, member: Member, pieces: Iterable[_Piece]) -> None:
        data = b"".join(one.read() for one in pieces)
        less = _deflated(data, zlib.Z_FINISH)
        kept, method = (less, DEFLATED) if len(less) < len(data) else (data, STORED)
        self._keep(self._record(member, len(kept), method), zlib.crc32(data), kept)

    def _add_large(self, member: Member, pieces: Iterable[_Piece]) -> Generator[int, None, bool]:
        """Compress a large file, unless it turns out not to shrink after all."""
        crc = packed = 0
        self.spool.seek(self.kept + len(self._record(member, member.size).header(0)))
        for data, less in in_order(_Piece.deflated, pieces):
            crc, packed = zlib.crc32(data, crc), packed + len(less)
            self.spool.write(less)
            yield len(data)
        self.spool.seek(self.kept)
        if packed >= member.size:
            return False
        self._keep(self._record(member, packed, DEFLATED), crc)
        self.spool.seek(self.kept)
        return True

    def _add_own(self, member: Member, pieces: tuple[_Piece, ...]) -> None:
        record = self._record(member, member.size, later=True)
        self.parts.append(_Own(record, pieces, len(self.directory)))
        self._enter(record, 0, len(record.header(0)) + member.size + len(record.trailer(0)))

    def _record(self, member: Member, packed: int, method: int = STORED, *, later: bool = False) -> Record:
        name = f"{self.tree.top}/{member.name}"
        return Record(name, member.size, packed, self.size, method, member.executable, later)

    def _keep(self, record: Record, crc: int = 0, data: bytes = b"") -> None:
        """Put a member into the temporary file, or what comes before it where it is there already."""
        header = record.header(crc)
        self.spool.write(header + data)
        length = len(header) + record.packed
        begin, self.kept = self.kept, self.kept + length
        if self.parts and isinstance(last := self.parts[-1], _Spooled):
            self.parts[-1] = last._replace(end=self.kept)
        else:
            self.parts.append(_Spooled(begin, self.kept))
        self._enter(record, crc, length)

    def _enter(self, record: Record, crc: int, length: int) -> None:
        self.directory += record.entry(crc)
        self.size += length
        self.count += 1


def _shrinks(tree: Tree, member: Member) -> bool:
    """Whether compressing a large file is worth its time, going by a few samples."""
    step = (member.size - _SAMPLE) // (_SAMPLES - 1)
    sample = b"".join(read(tree, member, number * step, _SAMPLE) for number in range(_SAMPLES))
    return len(zlib.compress(sample, _LEVEL)) < _WORTH_IT * len(sample)


def _deflated(data: bytes, ending: int) -> bytes:
    squeezer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeezer.compress(data) + squeezer.flush(ending)


def _sent(record: Record, pieces: Iterable[bytes]) -> Generator[bytes, None, int]:
    """A file as it lies on the disk, and its checksum."""
    crc = 0
    yield record.header(0)
    for data in pieces:
        crc = zlib.crc32(data, crc)
        yield data
    yield record.trailer(crc)
    return crc


def _gathered(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer chunks: each that is sent has its price."""
    held = bytearray()
    for chunk in chunks:
        if held and len(held) + len(chunk) > _CHUNK:
            yield bytes(held)
            held.clear()
        if len(chunk) < _CHUNK:
            held += chunk
        else:
            yield chunk
    if held:
        yield bytes(held)
