"""A version that has no room is refused before it brings others down."""

from __future__ import annotations

import logging

import pytest

from anyservice_core.errors import ConflictError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.plane.room import Room, spelled
from anyservice_core.plane.telling import Teller

ONE = ServiceConfig(name="svc", version_name="one", applications=[{"import_path": "main:app"}])
TWO = ServiceConfig(name="svc", version_name="two", applications=[{"import_path": "next:app"}])
ENDLESS = 2**62


def test_a_machine_has_some_room(tmp_path):
    """What is told of it is more than nothing, also for a folder that is not there yet."""
    room = Room(tmp_path / "not" / "yet", least_disk=1, least_memory=1)
    assert room.free_disk() > 0
    assert room.free_memory() > 0
    room.check("process")


@pytest.mark.parametrize(
    ("room", "said"),
    [
        ({"least_disk": ENDLESS}, "disk is nearly full.*--least-disk"),
        ({"least_memory": ENDLESS}, "memory is nearly full.*--least-memory"),
    ],
)
def test_what_there_is_and_what_is_needed_is_said(tmp_path, room, said):
    """With the way out."""
    with pytest.raises(ConflictError, match=said):
        Room(tmp_path, **room).check("ray")


def test_nothing_needs_to_be_free_if_so_told(tmp_path):
    """For whoever knows better."""
    Room(tmp_path, least_disk=0, least_memory=0).check("ray")


def test_only_what_starts_something_is_refused(plane, tmp_path):
    """New versions, updates in place and restarts are; weights move and services end on a full disk too."""
    with plane.client() as client:
        client.deploy(ONE)
        client.wait("svc")
        client.deploy(TWO, canary_percent=10)
        client.wait("svc", state="ROLLING_OUT", canary_weight=10)
        plane.api.check_room = Room(tmp_path, least_disk=ENDLESS).check
        client.shift("svc", canary_percent=50)
        client.wait("svc", state="ROLLING_OUT", canary_weight=50)
        client.rollback("svc")
        client.wait("svc", state="RUNNING")
        for refused in (ServiceConfig(name="new", applications=[{"import_path": "main:app"}]), TWO):
            with pytest.raises(ConflictError, match="disk is nearly full"):
                client.deploy(refused)
        with pytest.raises(ConflictError, match="disk is nearly full"):
            client.deploy(TWO, in_place=True)
        assert [service.name for service in plane.store.services()] == ["svc"]
        client.terminate("svc")
        client.wait("svc", state="TERMINATED")


@pytest.mark.parametrize(("size", "text"), [(0, "0 MiB"), (64 << 20, "64 MiB"), (3 << 29, "1.5 GiB")])
def test_sizes_are_written_as_people_do(size, text):
    """In the unit that fits."""
    assert spelled(size) == text


def test_what_happens_is_told_once_whoever_caused_it(plane, caplog):
    """Requests and what the loop makes of them, by the service's name; what should be looked at as a warning."""
    caplog.set_level(logging.INFO, "anyservice_core.plane.telling")
    with plane.client() as client:
        client.deploy(ONE)
        teller = Teller(plane.store)
        client.wait("svc")
        client.deploy(TWO, canary_percent=10)
        plane.break_version("two")
        plane.advance(20)
    teller.tell()
    told = [(record.levelname, record.message) for record in caplog.records]
    assert ("INFO", "svc: STARTING -> RUNNING") in told
    assert ("INFO", "svc: deploy two at 10 %") in told
    assert any(level == "WARNING" and "-> ROLLING_BACK" in message for level, message in told)
    assert not any("deploy one" in message for _, message in told)
    count = len(caplog.records)
    teller.tell()
    assert len(caplog.records) == count
