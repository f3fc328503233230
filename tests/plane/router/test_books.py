"""The books on traffic: every count is entered once, also when the store could not be written for a while."""

from __future__ import annotations

import sqlite3

import pytest

from anyservice_core.plane.router import SlotCounters
from anyservice_core.plane.router.books import Ledger
from anyservice_core.plane.store import Store

FULL = "CREATE TRIGGER full BEFORE INSERT ON notes BEGIN SELECT RAISE(ABORT, 'disk full'); END"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plane.db"


@pytest.fixture
def store(path):
    store = Store(path)
    yield store
    store.close()


def make(path, statement):
    """Do something to the file behind the store's back."""
    other = sqlite3.connect(path)
    other.execute(statement)
    other.close()


def reading(count, life="one"):
    return [SlotCounters("svc", "a", life, 0, {"2xx": count}, {"count": count})]


def seated(version):
    return {("svc", "a"): version}


def requests(store):
    return {version: total["requests"] for version, total in store.traffic("svc").items()}


def test_counts_that_the_store_did_not_take_are_entered_with_the_next_reading(path, store):
    """A failed transaction writes nothing, and what it would have written comes later, once, to whom it belongs."""
    books = Ledger(store)
    books.enter(reading(10), seated("v1"))
    make(path, FULL)
    for count in (13, 15):
        with pytest.raises(sqlite3.DatabaseError, match="disk full"):
            books.enter(reading(count), seated("v1"))
    assert requests(store) == {"v1": 10}
    make(path, "DROP TRIGGER full")
    books.enter(reading(2, life="two"), seated("v2"))
    assert requests(store) == {"v1": 15, "v2": 2}
    books.enter(reading(2, life="two"), seated("v2"))
    assert requests(store) == {"v1": 15, "v2": 2}


def test_counts_are_owed_though_no_more_come(path, store):
    """A service that nobody asks any more gets what is owed to it at the next tick all the same."""
    books = Ledger(store)
    make(path, FULL)
    with pytest.raises(sqlite3.DatabaseError, match="disk full"):
        books.enter(reading(7), seated("v1"))
    make(path, "DROP TRIGGER full")
    books.enter(reading(7), seated("v1"))
    assert requests(store) == {"v1": 7}


def test_a_plane_that_dies_with_debts_pays_them_later(path, store):
    """How far the counters were read is kept together with the totals, so the next plane reads the rest."""
    books = Ledger(store)
    books.enter(reading(10), seated("v1"))
    make(path, FULL)
    with pytest.raises(sqlite3.DatabaseError, match="disk full"):
        books.enter(reading(12), seated("v1"))
    make(path, "DROP TRIGGER full")
    Ledger(store).enter(reading(13), seated("v1"))
    assert requests(store) == {"v1": 13}
