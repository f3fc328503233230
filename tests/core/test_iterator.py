from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.models.iterator import AsyncResultIterator, Page, ResultIterator

pages_of = st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=5)


def fetcher(pages, asked):
    def fetch(cursor):
        index = cursor or 0
        asked.append(index)
        following = index + 1 if index + 1 < len(pages) else None
        return Page(tuple(pages[index]), following)

    return fetch


@given(pages_of, st.none() | st.integers(0, 12))
def test_every_item_once_and_no_page_too_many(pages, limit):
    """Empty pages in between are no end; a page that nobody reads is not fetched."""
    asked: list[int] = []
    found = list(ResultIterator(fetcher(pages, asked), limit))
    every = [item for page in pages for item in page]
    assert found == every[:limit]
    assert asked == list(range(len(asked)))
    if limit is not None and len(every) > limit:
        before = [sum(len(page) for page in pages[:index]) for index in asked]
        assert all(count < limit for count in before)


def test_nothing_is_fetched_before_it_is_read():
    """Asking for a list costs nothing."""
    asked: list[int] = []
    items = ResultIterator(fetcher([[1], [2]], asked))
    assert asked == []
    assert next(items) == 1
    assert asked == [0]


def test_an_end_stays_the_end():
    """As iterators have it."""
    items = ResultIterator(fetcher([[1]], []))
    assert list(items) == [1]
    assert list(items) == []


def test_no_item_is_taken_for_the_end():
    """Whatever an item is, false or none."""
    assert list(ResultIterator(fetcher([[None, 0, None]], []))) == [None, 0, None]


@pytest.mark.anyio
async def test_the_same_in_the_other_colour():
    """One rule, two loops."""
    fetch = fetcher([[1, 2], [], [3]], [])

    async def later(cursor):
        return fetch(cursor)

    assert [item async for item in AsyncResultIterator(later, 3)] == [1, 2, 3]
