"""One definition, two tasks."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

import prefect_tasks
from anyservice_core import ConfigError, NotFoundError, RolledBackError, TransportError, UnavailableError
from prefect_tasks import aio, pairs, tasks
from prefect_tasks.pairs import ais_retryable, is_retryable

pytestmark = pytest.mark.prefect

NAMES = tasks.__all__
RUN = TaskRun(task_key="status", dynamic_key="0")
# Sending these again could deploy or roll back a second time; the core has its own way with lost answers.
NEVER_AGAIN = {"deploy", "rollback"}


def both(name: str) -> tuple[Task[..., Any], Task[..., Any]]:
    return getattr(tasks, name), getattr(aio, name)


@pytest.mark.parametrize("name", NAMES)
def test_both_colours_are_one_task_to_a_reader(name: str) -> None:
    """They share name, signature and docstring, and differ in what they return."""
    sync, asynchronous = both(name)
    assert sync.name == asynchronous.name == name
    assert inspect.signature(sync.fn) == inspect.signature(asynchronous.fn)
    assert sync.description == asynchronous.description != ""
    assert (sync.isasync, asynchronous.isasync) == (False, True)
    assert sync.task_key != asynchronous.task_key


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cached_and_no_change_is_made_twice(name: str) -> None:
    """No result comes from a cache or is kept, and what may not be repeated has no retries."""
    for task in both(name):
        assert task.cache_policy is NO_CACHE
        assert task.persist_result is False
        assert (task.retries == 0) is (name in NEVER_AGAIN)
        assert task.retries == 0 or task.retry_condition_fn in {is_retryable, ais_retryable}
        assert task.tags == {"anyservice"}


def test_every_task_can_be_imported_from_the_package() -> None:
    """The face shows all tasks."""
    assert set(NAMES) == set(aio.__all__)
    assert set(NAMES) < set(prefect_tasks.__all__)
    assert all(getattr(prefect_tasks, name) is getattr(tasks, name) for name in NAMES)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (TransportError("no answer"), True),
        (UnavailableError("busy", status=503), True),
        (NotFoundError("no such service", status=404), False),
        (ConfigError("name: missing"), False),
        (RolledBackError("worse"), False),
        (ValueError("a bug"), False),
    ],
)
def test_a_task_is_tried_again_only_where_that_may_help(error: Exception, again: bool) -> None:
    """The core's errors decide, and errors that are not the core's never are retried."""
    assert is_retryable(tasks.status, RUN, Failed(data=error)) is again


def test_the_condition_is_a_plain_function() -> None:
    """Prefect 3.7 silently turns retries off for any other kind of callable."""
    assert inspect.isfunction(is_retryable)


@pytest.mark.anyio
async def test_the_pause_that_a_server_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry-After holds for Prefect's retries as for the core's own, in both colours, within reason."""
    kept: list[float] = []

    async def sleep(seconds: float) -> None:
        kept.append(seconds)

    monkeypatch.setattr(pairs.time, "sleep", kept.append)
    monkeypatch.setattr(pairs.anyio, "sleep", sleep)
    for asked in (90.0, 1e9, None):
        busy = Failed(data=UnavailableError("busy", status=503, retry_after_s=asked))
        assert is_retryable(tasks.status, RUN, busy)
        assert await ais_retryable(aio.status, RUN, busy)
    assert kept == [90.0, 90.0, 600.0, 600.0, 0.0, 0.0]
