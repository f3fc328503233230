"""What is written to Prefect on the side: the latest of each name, once a while, and all of it before the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from prefect_tasks.scribe import Scribe

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(60)]

NEVER = 1e6


@pytest.fixture
def held() -> Callable[[Scribe], threading.Event]:
    """Keeps a scribe of one hand busy until the event is set, which it is when this returns."""

    def hold(scribe: Scribe) -> threading.Event:
        begun, free = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            free.wait(30)

        scribe.put("somebody", "else", wait)
        assert begun.wait(30)
        return free

    return hold


def test_the_latest_of_each_name_is_written(held: Callable[[Scribe], threading.Event]) -> None:
    """What was put while the scribe was busy is written once, as it stood last; of other names and owners too."""
    scribe, written = Scribe(hands=1), list[str]()
    free = held(scribe)
    for number in range(100):
        scribe.put("a", "bar", lambda number=number: written.append(f"bar {number}"))  # type: ignore[misc]
    scribe.put("a", "table", lambda: written.append("table"))
    scribe.put("b", "bar", lambda: written.append("bar of b"))
    free.set()
    assert scribe.finish("a", 30)
    assert scribe.finish("b", 30)
    assert sorted(written) == ["bar 99", "bar of b", "table"]


def test_a_name_rests_unless_somebody_waits_for_it() -> None:
    """A second thing under the name would wait for its time; the end of the rollout does not."""
    scribe, written = Scribe(hands=1, every_s=NEVER), list[str]()
    scribe.put("a", "bar", lambda: written.append("first"))
    assert scribe.finish("a", 30)
    scribe.put("a", "bar", lambda: written.append("second"))  # its owner had finished, so it begins anew
    assert scribe.finish("a", 30)
    assert written == ["first", "second"]


def test_the_end_does_not_wait_for_ever(held: Callable[[Scribe], threading.Event]) -> None:
    """Where Prefect takes nothing any more, the rollout ends all the same, and knows."""
    scribe = Scribe(hands=1)
    free = held(scribe)
    scribe.put("a", "bar", lambda: None)
    assert not scribe.finish("a", 0.01)
    free.set()
    assert scribe.finish("a", 30)


def test_it_writes_for_the_run_that_asked() -> None:
    """A thread knows nothing of flow runs: what is written sees the context that it was put in."""
    run: ContextVar[str] = ContextVar("run")
    scribe, seen = Scribe(hands=1), list[str]()
    run.set("mine")
    scribe.put("a", "bar", lambda: seen.append(run.get()))
    assert scribe.finish("a", 30)
    assert seen == ["mine"]
