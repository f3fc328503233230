"""One definition, two tasks: the same call, made by a sync and by an async client.

A definition calls nothing. It says with which credentials and what to ask of the client, as an ``Ask``;
``pair`` makes of it a task that waits for the answer and one that awaits it. Both carry the definition's
name, signature and docstring, so that a run of the one looks like a run of the other.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar, cast

import anyio
from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from anyservice_core import AnyserviceError, Client, ResultIterator, UnavailableError
from prefect_tasks.blocks import AnyserviceCredentials, Credentials
from prefect_tasks.held import HeldError
from prefect_tasks.watching import Watch, within_run

__all__ = ["BEARING", "ONCE", "PATIENTLY", "Ask", "aanswer", "answer", "is_retryable", "pair"]

P = ParamSpec("P")
T = TypeVar("T")

RunName: TypeAlias = str | Callable[[dict[str, Any]], str]
Pair: TypeAlias = tuple[Task[P, T], Task[P, Coroutine[Any, Any, T]]]

_LAST_WORDS_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 600.0


def is_retryable(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Whether trying again may help, which the core's errors know. A plain function, as Prefect 3.7 needs.

    Prefect's delays are fixed beforehand; so the pause that a server has asked for is kept here.
    """
    time.sleep(_pause_s(state.data))
    return _may_pass(state.data)


async def ais_retryable(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Tell the same of an asynchronous task, without holding up its event loop."""
    await anyio.sleep(_pause_s(state.data))
    return _may_pass(state.data)


def _may_pass(error: object) -> bool:
    return isinstance(error, AnyserviceError) and error.retryable


def _pause_s(error: object) -> float:
    """Seconds that the server asked for (``Retry-After``), within reason."""
    asked = error.retry_after_s if isinstance(error, UnavailableError) else None
    return min(asked or 0.0, _LONGEST_PAUSE_S)


# Nothing is cached: a status must be fresh, and a change that comes out of a cache did not happen.
ONCE: Final[Mapping[str, Any]] = {"retries": 0, "cache_policy": NO_CACHE, "persist_result": False}
# The core has tried for some seconds by itself; this bears with a plane that is away for a minute.
PATIENTLY: Final[Mapping[str, Any]] = {
    **ONCE,
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(10),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_retryable,
}

# For minutes: nobody starts a nightly rollout again by hand.
BEARING: Final[Mapping[str, Any]] = {**PATIENTLY, "retries": 5}


@dataclass(frozen=True)
class Ask(Generic[T]):
    """What to ask of a client, by whose leave, and who is told how it goes."""

    credentials: Credentials
    call: Callable[[Client], T]
    watch: Watch = field(default_factory=Watch)


def pair(define: Callable[P, Ask[T]], *, named: RunName, options: Mapping[str, Any] = ONCE) -> Pair[P, T]:
    """Make the sync and the async task of a definition. ``named`` is what Prefect takes for a run's name."""

    @functools.wraps(define)
    def ask(*args: P.args, **kwargs: P.kwargs) -> T:
        return answer(define(*args, **kwargs))

    @functools.wraps(define)
    async def aask(*args: P.args, **kwargs: P.kwargs) -> T:
        return await aanswer(define(*args, **kwargs))

    name = define.__name__.strip("_")
    ask.__qualname__, aask.__qualname__ = name, f"a{name}"  # what tells them apart as background tasks

    settings: dict[str, Any] = {"name": name, "task_run_name": named, "tags": {"anyservice"}, **options}
    asettings = (
        {**settings, "retry_condition_fn": ais_retryable} if "retry_condition_fn" in options else settings
    )
    return task(ask, **settings), task(aask, **asettings)


def answer(ask: Ask[T]) -> T:
    """Put it to a client, and be told by its watch how it goes if this is within a run."""
    block, watch = _opened(ask.credentials), within_run(ask.watch)
    with block.get_client(on_report=watch.see, on_save=watch.keep, on_orders=watch.orders) as client:
        host = client.settings.host
        with watch.guard(host):
            watch.begin(host)
            try:
                given: T = _collected(ask.call(client))
            except HeldError as held:  # no failure of the task: the flow is to suspend itself
                watch.end(held, host)
                return cast("T", held)
            except BaseException as error:  # a cancelled run too
                watch.end(error, host)
                raise
            watch.end(given, host)
            return given


async def aanswer(ask: Ask[T]) -> T:
    """Await the same."""
    block, watch = await _aopened(ask.credentials), within_run(ask.watch)
    async with block.get_async_client(
        on_report=watch.see, on_save=watch.keep, on_orders=watch.aorders
    ) as client:
        host = client.settings.host
        async with watch.aguard(host):
            await watch.abegin(host)
            try:
                given: T = await _acollected(ask.call(client))  # type: ignore[arg-type]  # the same calls, to await
            except HeldError as held:
                await watch.aend(held, host)
                return cast("T", held)
            except BaseException as error:
                with anyio.move_on_after(_LAST_WORDS_S, shield=True):
                    await watch.aend(error, host)
                raise
            await watch.aend(given, host)
            return given


def _collected(given: Any) -> Any:
    return [*given] if isinstance(given, ResultIterator) else given


async def _acollected(given: Any) -> Any:
    return [item async for item in given] if isinstance(given, AsyncIterable) else await given


def _opened(credentials: Credentials) -> AnyserviceCredentials:
    if isinstance(credentials, str):
        return AnyserviceCredentials.named(credentials)
    return credentials or AnyserviceCredentials()


async def _aopened(credentials: Credentials) -> AnyserviceCredentials:
    if isinstance(credentials, str):
        return await AnyserviceCredentials.anamed(credentials)
    return credentials or AnyserviceCredentials()
