"""The zip format, as far as a bundle needs it: what stands before, after and in the end about each member.

The library's own writer would do, but only for a file: it goes back to fill in what it learns later. Here the length of the
whole is known before the first byte is sent, which storage services insist on, and nothing that a clock, a user or a machine
could make different is written.
"""

from __future__ import annotations

import stat
import struct
from typing import Final, NamedTuple

__all__ = ["DEFLATED", "STORED", "Record", "directory_end", "fill_in"]

STORED: Final = 0
DEFLATED: Final = 8

_ELSEWHERE, _COUNT_ELSEWHERE = 0xFFFFFFFF, 0xFFFF  # say that a number is in a wider field of its own
_LIMIT, _MOST = _ELSEWHERE, _COUNT_ELSEWHERE  # from which on it has to be
_PLAIN, _ZIP64 = 20, 45  # the version of the format that a reader must know
_UNIX: Final = 3 << 8  # so that the modes are honoured
_LATER, _UTF8 = 0x8, 0x800
_TIME, _DATE = 0, (1 << 5) | 1  # 1 January 1980, the first day that the format knows

_HEADER: Final = struct.Struct("<4s5H3L2H")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_CHECKSUM_AT: Final = 16


class Record(NamedTuple):
    """One member. Sizes are in bytes; ``packed`` is that of the data in the zip, ``offset`` where its header begins.

    ``later`` says that the checksum follows the data, since it is not known before.
    """

    name: str
    size: int = 0
    packed: int = 0
    offset: int = 0
    method: int = STORED
    executable: bool = False
    later: bool = False

    def header(self, crc: int) -> bytes:
        """What comes before the data."""
        name = self.name.encode()
        crc, packed, size = (0, 0, 0) if self.later else (crc, self.packed, self.size)
        version, extra = _PLAIN, b""
        if self._is_large:
            version, extra = _ZIP64, struct.pack("<2H2Q", 1, 16, size, packed)
            packed = size = _ELSEWHERE
        what = (b"PK\3\4", version, self._flags, self.method, _TIME, _DATE)
        return _HEADER.pack(*what, crc, packed, size, len(name), len(extra)) + name + extra

    def trailer(self, crc: int) -> bytes:
        """What comes after the data."""
        if not self.later:
            return b""
        return struct.pack("<4sL2Q" if self._is_large else "<4s3L", b"PK\7\x08", crc, self.packed, self.size)

    def entry(self, crc: int) -> bytes:
        """The line in the directory at the end of the zip."""
        name = self.name.encode()
        large = [value for value in (self.size, self.packed, self.offset) if value >= _LIMIT]
        extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        version = _ZIP64 if large else _PLAIN
        what = (b"PK\1\2", _UNIX | version, version, self._flags, self.method, _TIME, _DATE)
        sizes = (_narrow(self.packed), _narrow(self.size), len(name), len(extra))
        where = (0, 0, 0, self._mode << 16, _narrow(self.offset))
        return _ENTRY.pack(*what, crc, *sizes, *where) + name + extra

    @property
    def _is_large(self) -> bool:
        return self.size >= _LIMIT or self.packed >= _LIMIT

    @property
    def _flags(self) -> int:
        return (_LATER if self.later else 0) | (0 if self.name.isascii() else _UTF8)

    @property
    def _mode(self) -> int:
        if self.name.endswith("/"):
            return stat.S_IFDIR | 0o755
        return stat.S_IFREG | (0o755 if self.executable else 0o644)


def fill_in(directory: bytearray, place: int, crc: int) -> None:
    """Write the checksum into the line that begins at ``place``, where it was not known before."""
    struct.pack_into("<L", directory, place + _CHECKSUM_AT, crc)


def directory_end(count: int, size: int, offset: int) -> bytes:
    """What ends a zip whose directory of ``count`` lines has ``size`` bytes and begins at ``offset``."""
    counts = (count if count < _MOST else _COUNT_ELSEWHERE,) * 2
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts, _narrow(size), _narrow(offset), 0)
    if count < _MOST and max(size, offset) < _LIMIT:
        return end
    wide = (_UNIX | _ZIP64, _ZIP64, 0, 0, count, count, size, offset)
    more = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, *wide)
    return more + struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1) + end


def _narrow(number: int) -> int:
    return number if number < _LIMIT else _ELSEWHERE
