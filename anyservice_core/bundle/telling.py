"""What is told while a bundle is made, and how work that takes its time is done step by step."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar

__all__ = ["Bundling", "Done", "LeftOut", "Meter", "Work", "step"]

T = TypeVar("T")

Work: TypeAlias = Generator[Any, None, T]
"""Something that takes its time: yields what there is to tell, and returns its result."""

_WORTH_TELLING: Final = 256_000_000  # bytes; a second or so
_A_FILE: Final = 20_000  # opening a small file takes as long as reading so many bytes
_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The end of a ``Work``."""

    value: T


def step(work: Work[T]) -> Any:
    """Go on with ``work`` until it has something to tell, and give that, or ``Done`` with its result."""
    try:
        return next(work)
    except StopIteration as end:
        return Done(end.value)


@dataclass(frozen=True, slots=True)
class Bundling:
    """Told each tenth of the way through a folder that takes its time. ``doing`` is ``reading`` or ``packing``."""

    doing: str
    folder: str
    percent: int
    size: int
    files: int

    def __str__(self) -> str:
        return (
            f"{self.doing} {self.folder!r}: {self.percent}% of {self.size / 1e6:.1f} MB in {self.files} files"
        )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that a user might miss is not in the bundle. ``names`` are paths from ``folder`` on."""

    folder: str
    names: tuple[str, ...]
    why: str
    hint: str

    def __str__(self) -> str:
        shown = ", ".join(printable(name) for name in self.names[:_MOST_NAMED])
        more = f" and {len(self.names) - _MOST_NAMED} more" if len(self.names) > _MOST_NAMED else ""
        return f"folder {self.folder!r} goes without {shown}{more}: {self.why}. {self.hint}"


def printable(name: str) -> str:
    """A file's name as it may be shown: on Unix it may hold anything, commands to a terminal included."""
    return name if name.isprintable() else repr(name)


class Meter:
    """Watches work on a folder go by."""

    def __init__(self, doing: str, folder: str, sizes: Sequence[int]) -> None:
        self._doing, self._folder = doing, folder
        self._size, self._files = sum(sizes), len(sizes)
        self._whole = self._size + _A_FILE * self._files
        self._passed = self._tenths = 0

    def passes(self, size: int, files: int = 0) -> Iterator[Bundling]:
        """What there is to tell after so many bytes and files more. Small folders are done before anybody wonders."""
        self._passed += size + _A_FILE * files
        tenths = self._passed * 10 // self._whole if self._whole else 0
        if tenths > self._tenths and self._whole >= _WORTH_TELLING:
            yield Bundling(self._doing, self._folder, tenths * 10, self._size, self._files)
        self._tenths = tenths
