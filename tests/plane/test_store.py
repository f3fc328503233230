"""The store: what was written is read back, filtered by SQL, and carried over from older files."""

from __future__ import annotations

import sqlite3

import pytest
from pydantic import ValidationError

from anyservice_core.errors import PlaneError
from anyservice_core.models.enums import ServiceState as S
from anyservice_core.plane import listing
from anyservice_core.plane.changes import Birth, deploy
from anyservice_core.plane.store import Event, Store
from tests.plane.world import apply

# As the first version of the schema was written.
FIRST = """
CREATE TABLE services (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, project_id TEXT NOT NULL, state TEXT NOT NULL,
    archived INTEGER NOT NULL, port INTEGER NOT NULL, document TEXT NOT NULL
);
CREATE INDEX services_by_name ON services (name);
CREATE TABLE events (
    number INTEGER PRIMARY KEY, service_id TEXT NOT NULL, version_id TEXT, at REAL NOT NULL,
    kind TEXT NOT NULL, message TEXT NOT NULL
);
CREATE INDEX events_by_service ON events (service_id, number);
CREATE TABLE traffic (version_id TEXT PRIMARY KEY, service_id TEXT NOT NULL, document TEXT NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, document TEXT NOT NULL);
PRAGMA user_version = 1;
"""


def service(name: str = "svc", now: float = 1000.0, **changes):
    born = deploy(None, apply("v1"), Birth(now, "fake", "cld", "prj", lambda: 8700))
    return born.replace(name=name, **changes)


@pytest.fixture
def store():
    store = Store(None)
    yield store
    store.close()


def names(store, **asked):
    return [found.name for found in listing.select(store, listing.Query(**asked)).page]


def test_an_older_file_is_carried_over(tmp_path):
    """A file of the first schema opens with all that is in it, once and again."""
    path, old = tmp_path / "plane.db", [service("one"), service("two", 2000.0)]
    with sqlite3.connect(path) as file:
        file.executescript(FIRST)
        for number, one in enumerate(old):
            row = (one.id, one.name, one.project_id, one.state, 0, 8700 + number, one.model_dump_json())
            file.execute("INSERT INTO services VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    file.close()
    for _ in range(2):
        store = Store(path)
        assert store.services() == old
        assert names(store, sort_field="LAST_DEPLOYED_AT", sort_order="DESC") == ["two", "one"]
        store.note(Event(old[0].id, 1.0, "state", "still there"))
        store.close()


def test_a_file_of_a_later_schema_is_refused(tmp_path):
    """An older program leaves a newer one's file alone, and says which it is."""
    path = tmp_path / "plane.db"
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(PlaneError, match="99"):
        Store(path)


@pytest.mark.parametrize(("durable", "level"), [(False, 1), (True, 2)])
def test_a_durable_store_waits_for_the_disk(tmp_path, durable, level):
    """SQLite's levels: 1 is NORMAL, safe from kills; 2 is FULL, safe from a loss of power as well."""
    store = Store(tmp_path / "plane.db", durable=durable)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (level,)
    store.close()


def test_what_is_saved_is_what_is_read(store):
    """A value read before is not given again once another was written."""
    one = service()
    store.save(one)
    assert store.service(one.id) == one
    store.save(one.replace(state=S.RUNNING))
    assert (store.service(one.id).state, store.find("svc", "prj").state) == (S.RUNNING, S.RUNNING)
    store.delete(one.id)
    assert (store.service(one.id), store.services()) == (None, [])


def test_living_ones_are_told_from_those_that_ended(store):
    """The loop is given what has not ended; ports are kept by all."""
    store.save(service("a", port=8700))
    store.save(service("b", state=S.TERMINATED, port=8701))
    assert [one.name for one in store.living()] == ["a"]
    assert store.ports() == {8700, 8701}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["new", "old", "ended"]),
        ({"sort_field": "name"}, ["ended", "new", "old"]),
        ({"sort_field": "NAME", "sort_order": "desc"}, ["old", "new", "ended"]),
        ({"sort_field": "CREATED_AT"}, ["old", "new", "ended"]),
        ({"sort_field": "STATUS"}, ["new", "old", "ended"]),
        ({"state_filter": ["TERMINATED"]}, ["ended"]),
        ({"name": "e"}, ["new", "ended"]),
        ({"name": "%"}, []),
        ({"project_id": "other"}, []),
        ({"cloud_id": "cld"}, ["new", "old", "ended"]),
        ({"cloud_id": "other"}, []),
        ({"creator_id": "someone"}, []),
        ({"tag_filter": ["team:x", "team:y"]}, ["new", "old"]),
        ({"tag_filter": ["team:x", "team:y", "env:p"]}, ["new"]),
        ({"tag_filter": ['it\'s:"x"']}, []),
        ({"archive_status": "ARCHIVED", "name": "hidden"}, ["hidden"]),
    ],
)
def test_lists_are_filtered_and_sorted(store, asked, found):
    """Each filter alone and the orders, with names that would be code if they were not values."""
    store.save(service("old", 1000.0, state=S.RUNNING, updated_at=1.0, tags={"team": "x"}))
    store.save(service("new", 2000.0, updated_at=2.0, state=S.RUNNING, tags={"team": "y", "env": "p"}))
    store.save(service("ended", 3000.0, state=S.TERMINATED, updated_at=3.0))
    store.save(service("hidden", 4000.0, state=S.TERMINATED, archived=True))
    assert names(store, **asked) == found


def test_the_very_name_comes_before_those_that_contain_it(store):
    """Official clients look for a service by its name on the first page alone, whatever else is called like it."""
    store.save(service("app", 1.0, state=S.TERMINATED, updated_at=1.0))
    store.save(service("app-2", 2.0, state=S.RUNNING, updated_at=2.0))
    assert names(store, name="app") == ["app", "app-2"]
    assert names(store, name="app", sort_field="NAME", sort_order="DESC") == ["app-2", "app"]


@pytest.mark.parametrize(
    "asked", [{"sort_field": "document"}, {"paging_token": "-1"}, {"paging_token": "9" * 30}]
)
def test_what_was_never_given_out_is_refused(store, asked):
    """A field or token of no list is a rejection, whatever it would mean to SQL."""
    with pytest.raises(ValidationError, match=str(next(iter(asked)))):
        names(store, **asked)


def test_the_record_does_not_grow_for_ever(store):
    """The newest events of each service stay, however many another one has."""
    for number in range(10):
        store.note(Event("busy", float(number), "state", f"busy {number}"))
    store.note(Event("quiet", 0.0, "state", "quiet"))
    assert store.forget_events(keep=3) == 7
    assert [event.message for event in store.events("busy")] == ["busy 7", "busy 8", "busy 9"]
    assert [event.message for event in store.events("quiet")] == ["quiet"]
