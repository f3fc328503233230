"""``Client`` and ``AsyncClient``: two drivers for one source.

An operation (see ``effects.py``) is a conversation; a client holds it. ``run`` asks for the next effect,
performs it and hands the answer back, or throws in what went wrong, until the operation returns. That is all
there is to the difference between the colours: twelve lines with ``await`` and twelve without.

The methods are bound by ``operation``, a descriptor that knows which colour it is read from, so that type
checkers see ``Client().status("x")`` as a ``ServiceStatus`` and ``AsyncClient().status("x")`` as something to
await for one, with the names, defaults and docstring of the one function behind both.
"""

from __future__ import annotations

import contextvars
import functools
import importlib
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar, assert_never, overload

from anyservice_core import settings
from anyservice_core.effects import (
    Call,
    Effect,
    Home,
    Inside,
    Now,
    Op,
    Orders,
    Report,
    Request,
    Save,
    Sleep,
    Together,
    Upload,
)
from anyservice_core.models.iterator import AsyncResultIterator, ResultIterator
from anyservice_core.transport import AsyncTransport, Memory, Transport

if TYPE_CHECKING:
    import httpx
    from pydantic import BaseModel

    from anyservice_core.models.status import ServiceStatus
    from anyservice_core.operations import backtest, deploying, previewing, relay, rollout, services
    from anyservice_core.operations import listing as lists
    from anyservice_core.operations.listing import Listing

__all__ = ["AsyncClient", "Client", "operation"]

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE: Final = 8  # conversations side by side
_DEFAULTS: Final = ("cloud", "project")


@dataclass(frozen=True, slots=True)
class _Late:
    """A function by its name. Its module, with models to be built, is loaded by whoever calls it."""

    room: str
    name: str

    def load(self) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(importlib.import_module(self.room), self.name)
        return found


class _Room:
    """A module of operations that is not loaded yet."""

    def __init__(self, name: str) -> None:
        self._name = f"anyservice_core.operations.{name}"

    def __getattr__(self, name: str) -> _Late:
        return _Late(self._name, name)


if not TYPE_CHECKING:  # the type checker shall see the functions themselves
    backtest, deploying, previewing = map(_Room, ("backtest", "deploying", "previewing"))
    lists, relay, rollout, services = map(_Room, ("listing", "relay", "rollout", "services"))


class _Binding:
    """A function of ``cloud`` and ``project`` that takes the client's own where the caller gives none."""

    def __init__(self, function: Callable[..., Any] | _Late) -> None:
        self._given = function

    @functools.cached_property
    def function(self) -> Callable[..., Any]:
        return self._given.load() if isinstance(self._given, _Late) else self._given

    @functools.cached_property
    def takes(self) -> Sequence[str]:
        return [name for name in _DEFAULTS if name in inspect.signature(self.function).parameters]

    def made(self, client: _Base, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kwargs.get("id") is None:  # an id says all
            for name in self.takes:
                if kwargs.get(name) is None:
                    kwargs[name] = getattr(client.settings, name)
        return self.function(*args, **kwargs)


_words: Any = property(lambda binding: binding.function.__doc__)  # as `help` and editors show it


class operation(_Binding, Generic[P, T]):  # noqa: N801  # reads as the decorator-like thing it is
    """Binds an operation to whichever client it is read from."""

    __doc__ = _words

    def __init__(self, function: Callable[P, Op[T]]) -> None:
        super().__init__(function)

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Client | AsyncClient | None, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self.function)
        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run(self.made(client, args, kwargs))

        return bound


class paged(_Binding, Generic[P]):  # noqa: N801
    """Binds a listing to whichever client it is read from; nothing is fetched before it is read."""

    __doc__ = _words

    def __init__(self, function: Callable[P, Listing]) -> None:
        super().__init__(function)

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[P, ResultIterator[ServiceStatus]]: ...
    @overload
    def __get__(
        self, client: AsyncClient, owner: type
    ) -> Callable[P, AsyncResultIterator[ServiceStatus]]: ...
    def __get__(self, client: Client | AsyncClient | None, owner: type) -> Any:
        if client is None:
            return self

        @functools.wraps(self.function)
        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.iterate(self.made(client, args, kwargs))

        return bound


class Operations:
    """Everything a client can do, one line each. What it takes is loaded at the first call of each."""

    deploy = operation(deploying.deploy)
    preview = operation(previewing.preview)
    prepare = operation(deploying.prepare)
    shift = operation(deploying.shift)
    rollout = operation(rollout.rollout)
    begin_rollout = operation(relay.begin)
    resume_rollout = operation(relay.resume)
    follow_rollout = operation(relay.follow)
    backtest = operation(backtest.backtest)
    status = operation(services.status)
    wait = operation(services.wait)
    rollback = operation(services.rollback)
    take_back = operation(services.take_back)
    terminate = operation(services.terminate)
    archive = operation(services.archive)
    delete = operation(services.delete)
    list = paged(lists.listing)

    @classmethod
    def load(cls) -> None:
        """Load what every call takes, now."""
        for binding in vars(Operations).values():
            if isinstance(binding, _Binding):
                _ = binding.function


class _Base(Operations):
    """What both clients are given, and how they show themselves."""

    settings: settings.Settings
    on_report: Callable[[Any], Any] | None
    on_save: Callable[[str, BaseModel], Any] | None
    on_orders: Callable[[str], Any] | None

    def __repr__(self) -> str:
        where = [f"{name}={value!r}" for name in _DEFAULTS if (value := getattr(self.settings, name))]
        return f"{type(self).__name__}({', '.join([repr(self.settings.host), *where])})"


class Client(_Base):
    """A control plane's services, from plain code. Safe to use from several threads.

    ``host`` is a web address or ``"local"`` for the plane on this machine; ``token``, ``cloud`` and ``project``
    go with it. What is not given comes from the environment, the credentials file or the plane (see
    ``settings.py``). ``timeout_s`` bounds each request, in seconds. ``transport`` takes the place of the
    network, for tests. ``on_report(event)`` is told of progress, ``on_save(key, model)`` of what a later run may
    want to know. ``on_orders(key)`` gives what people have asked of a rollout (``Order``), each look anew.
    Raises ``ConfigError`` when there is no token.
    """

    def __init__(
        self,
        host: str | None = None,
        token: str | None = None,
        *,
        cloud: str | None = None,
        project: str | None = None,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        on_report: Callable[[Any], None] | None = None,
        on_save: Callable[[str, BaseModel], None] | None = None,
        on_orders: Callable[[str], Iterable[Any]] | None = None,
    ) -> None:
        self.settings = settings.resolve(host, token, cloud=cloud, project=project)
        self.on_report = on_report
        self.on_save = on_save
        self.on_orders = on_orders
        self._memory = Memory()
        self._transport = Transport(self.settings, timeout_s, transport)

    def run(self, op: Op[T]) -> T:
        """Hold a conversation to its end and give back what it returns."""
        try:
            effect = next(op)
            while True:
                try:
                    answer = self._perform(effect)
                except BaseException as error:  # noqa: BLE001  # an interruption belongs to the operation too
                    effect = op.throw(error)
                else:
                    effect = op.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def iterate(self, asked: Listing) -> ResultIterator[ServiceStatus]:
        """Read a list."""
        return ResultIterator(lambda cursor: self.run(asked.page(cursor)), asked.max_items)

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Request():
                return self._memory.find(effect) or self._memory.keep(effect, self._transport.send(effect))
            case Upload():
                return self._transport.upload(effect, self.on_report or _untold)
            case Sleep():
                return time.sleep(_seconds(effect))
            case Now():
                return time.time()
            case Report(event):
                return self.on_report and self.on_report(event)
            case Save(key, value):
                return self.on_save and self.on_save(key, value)
            case Orders(key):
                return tuple(self.on_orders(key)) if self.on_orders else ()
            case Call(function, args):
                return _call(function, args)
            case Inside():
                return self.settings.workspace
            case Home():
                return self.settings.host
            case Together(ops):
                return self._together(ops)
            case _:
                assert_never(effect)

    def _together(self, ops: Sequence[Op[T]]) -> list[T]:
        if len(ops) < 2:
            return [self.run(op) for op in ops]
        from concurrent.futures import ThreadPoolExecutor, wait

        pool = ThreadPoolExecutor(min(len(ops), AT_ONCE), "anyservice")
        try:
            futures = [pool.submit(contextvars.copy_context().run, self.run, op) for op in ops]
            wait(futures)
            return [future.result() for future in futures]
        finally:  # an interruption shall not wait for what was not begun
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Let the connections go. The client may be used again."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Base):
    """The same for asynchronous code, with the same arguments; of one event loop.

    ``on_report``, ``on_save`` and ``on_orders`` may be coroutine functions.
    """

    def __init__(
        self,
        host: str | None = None,
        token: str | None = None,
        *,
        cloud: str | None = None,
        project: str | None = None,
        timeout_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        on_report: Callable[[Any], Awaitable[None] | None] | None = None,
        on_save: Callable[[str, BaseModel], Awaitable[None] | None] | None = None,
        on_orders: Callable[[str], Awaitable[Iterable[Any]] | Iterable[Any]] | None = None,
    ) -> None:
        self.settings = settings.resolve(host, token, cloud=cloud, project=project)
        self.on_report = on_report
        self.on_save = on_save
        self.on_orders = on_orders
        self._memory = Memory()
        self._transport = AsyncTransport(self.settings, timeout_s, transport)

    async def run(self, op: Op[T]) -> T:
        """Hold a conversation to its end and give back what it returns."""
        try:
            effect = next(op)
            while True:
                try:
                    answer = await self._perform(effect)
                except BaseException as error:  # noqa: BLE001  # cancellation belongs to the operation too
                    effect = op.throw(error)
                else:
                    effect = op.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def iterate(self, asked: Listing) -> AsyncResultIterator[ServiceStatus]:
        """Read a list."""
        return AsyncResultIterator(lambda cursor: self.run(asked.page(cursor)), asked.max_items)

    async def _perform(self, effect: Effect) -> Any:
        import anyio

        match effect:
            case Request():
                return self._memory.find(effect) or self._memory.keep(
                    effect, await self._transport.send(effect)
                )
            case Upload():
                return await self._transport.upload(effect, self._tell)
            case Sleep():
                return await anyio.sleep(_seconds(effect))
            case Now():
                return time.time()
            case Report(event):
                return self.on_report and await _settle(self.on_report(event))
            case Save(key, value):
                return self.on_save and await _settle(self.on_save(key, value))
            case Orders(key):
                return tuple(await _settle(self.on_orders(key))) if self.on_orders else ()
            case Call(function, args):
                return await _call_async(function, args)
            case Inside():
                return self.settings.workspace
            case Home():
                return self.settings.host
            case Together(ops):
                return await self._together(ops)
            case _:
                assert_never(effect)

    async def _tell(self, event: Any) -> None:
        if self.on_report:
            await _settle(self.on_report(event))

    async def _together(self, ops: Sequence[Op[T]]) -> list[T]:
        import anyio

        results: dict[int, T] = {}
        errors: dict[int, Exception] = {}
        few = anyio.CapacityLimiter(AT_ONCE)

        async def hold(number: int, op: Op[T]) -> None:
            async with few:
                try:
                    results[number] = await self.run(op)
                except Exception as error:  # noqa: BLE001  # raised below, when all have ended
                    errors[number] = error

        async with anyio.create_task_group() as group:
            for number, op in enumerate(ops):
                group.start_soon(hold, number, op)
        if errors:
            raise errors[min(errors)]
        return [results[number] for number in range(len(ops))]

    async def aclose(self) -> None:
        """Let the connections go. The client may be used again."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _untold(_event: Any) -> None:
    """Nobody watches."""


def _seconds(sleep: Sleep) -> float:
    import random

    return sleep.seconds * (1 - sleep.jitter * random.random())  # noqa: S311  # spreads load, guards nothing


def _call(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    if not inspect.iscoroutinefunction(function):
        return function(*args)
    import anyio

    return anyio.run(function, *args)


async def _call_async(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    from anyio import to_thread

    return await to_thread.run_sync(function, *args)


async def _settle(outcome: Any) -> Any:
    return await outcome if inspect.isawaitable(outcome) else outcome
