"""The slot of a service: taken by one, kept while its process lives, free again in a time that is known."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest
from prefect import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse

from prefect_tasks import slots
from prefect_tasks.slots import LAPSES_S, Slot

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]


def limit(name: str) -> GlobalConcurrencyLimitResponse:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(name)


def change(name: str, **values: float) -> None:
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(**values))  # type: ignore[arg-type]


def killed(name: str) -> None:
    """Take the slot as a process does that nobody hears of any more."""
    slot = Slot(name)
    assert slot.take()
    slots._KEEPER.drop(slot)


def until_taken(slot: Slot) -> None:
    while not slot.take():
        time.sleep(0.1)


def test_one_has_it(service: str) -> None:
    """Who comes first has the slot, of a limit that is made then and there; who comes next has it after that."""
    first, second = Slot(service), Slot(service)
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()
    assert not limit(service).active_slots


def test_a_killed_process_keeps_it_for_a_time_that_is_known(service: str) -> None:
    """Nobody confirms the slot any longer: it decays by itself, on a server that knows nothing of leases too."""
    killed(service)
    assert limit(service).slot_decay_per_second == pytest.approx(1 / LAPSES_S)
    change(service, slot_decay_per_second=2.0)  # for a test that nobody has to wait a minute and a half for
    another = Slot(service)
    until_taken(another)
    another.release()


def test_looking_at_a_slot_does_not_keep_it_from_lapsing(service: str) -> None:
    """Those who wait look ten times while it decays, which would never end if each look counted as a use."""
    killed(service)
    change(service, slot_decay_per_second=1.0)
    began, another = time.monotonic(), Slot(service)
    until_taken(another)
    assert time.monotonic() - began < 10
    another.release()


def test_a_process_that_lives_confirms_it(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the process says again and again that the slot is in use, so it does not lapse."""
    confirmed = threading.Event()
    confirm = Slot.confirm

    def seen(slot: Slot) -> None:
        confirm(slot)
        confirmed.set()

    monkeypatch.setattr(slots, "CONFIRM_EVERY_S", 0.5)
    monkeypatch.setattr(Slot, "confirm", seen)
    slot = Slot(service)
    assert slot.take()
    change(service, active_slots=0)
    assert confirmed.wait(30)
    assert limit(service).active_slots
    slot.release()


def test_one_that_was_away_too_long_leaves_the_slot_to_who_has_it_now(
    service: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine that slept, or lost Prefect for minutes, neither confirms nor releases what is another's by now."""
    slept, heir = Slot(service), Slot(service)
    assert slept.take()
    change(service, active_slots=0)
    assert heir.take()
    monkeypatch.setattr(slept, "_good_until", 0.0)
    slept.confirm()
    slept.release()
    assert "could not be told" in caplog.text
    assert not Slot(service).take()
    heir.release()


def test_a_limit_of_an_earlier_release_learns_to_decay(service: str) -> None:
    """A slot that was lost for good before is free again after a while."""
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(name=service, limit=1, active=True, active_slots=1)
        )
    assert not Slot(service).take()
    assert limit(service).slot_decay_per_second == pytest.approx(1 / LAPSES_S)


def test_many_that_come_at_once_are_let_in_one_by_one(service: str) -> None:
    """Of twenty threads that take the slot of a limit that is not there yet, one has it at a time."""
    inside, seen = threading.Semaphore(1), list[bool]()

    def rush() -> None:
        slot = Slot(service)
        until_taken(slot)
        alone = inside.acquire(blocking=False)
        seen.append(alone)
        with suppress(ValueError):
            inside.release()
        slot.release()

    threads = [threading.Thread(target=rush) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert seen == [True] * 20
