"""Lists that fetch their pages only when somebody reads that far."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

__all__ = ["AsyncResultIterator", "Page", "ResultIterator"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and where the next page is: an opaque value for the fetcher, ``None`` at the end."""

    items: tuple[T, ...]
    following: Any = None


class _Pages(Generic[T]):
    """What has been fetched and not yet read, and whether more is to come."""

    def __init__(self, max_items: int | None = None) -> None:
        self._left = max_items
        self._ready: deque[T] = deque()
        self._cursor: Any = None
        self._done = max_items == 0

    @property
    def _hungry(self) -> bool:
        return not self._ready and not self._done

    def _feed(self, page: Page[T]) -> None:
        self._ready.extend(page.items)
        self._cursor = page.following
        self._done = page.following is None

    def _take(self) -> list[T]:
        """The next item, or nothing when there is none left or enough were read."""
        if not self._ready or self._left == 0:
            return []
        if self._left is not None:
            self._left -= 1
            self._done = self._done or self._left == 0
        return [self._ready.popleft()]


class ResultIterator(_Pages[T], Iterator[T]):
    """Items of a list, page by page: ``for item in client.list(): ...``."""

    def __init__(self, fetch: Callable[[Any], Page[T]], max_items: int | None = None) -> None:
        super().__init__(max_items)
        self._fetch = fetch

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while self._hungry:
            self._feed(self._fetch(self._cursor))
        for item in self._take():
            return item
        raise StopIteration


class AsyncResultIterator(_Pages[T], AsyncIterator[T]):
    """The same for ``AsyncClient``: ``async for item in client.list(): ...``."""

    def __init__(self, fetch: Callable[[Any], Awaitable[Page[T]]], max_items: int | None = None) -> None:
        super().__init__(max_items)
        self._fetch = fetch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while self._hungry:
            self._feed(await self._fetch(self._cursor))
        for item in self._take():
            return item
        raise StopAsyncIteration
