"""A function of the user's own, asked by name: ``{call: "team.checks:smoke"}``.

It is given a ``Target`` and says True or False, a number to hold against ranges (NaN: no data), or the counts of
both versions to compare by (``Increase``, or the same as a mapping). What it raises is *unreadable*: it could
not be measured, which says nothing about the canary. It may be ``async``.

It runs in a thread of its own, since plain code cannot be interrupted: one that hangs is left behind, and not begun
again while it does.
"""

from __future__ import annotations

import contextvars
import importlib
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Real
from threading import Thread
from typing import Any, ClassVar, Final, NamedTuple

import anyio
from pydantic import SerializationInfo, TypeAdapter, ValidationError, field_serializer, field_validator

from anyservice_core.effects import Call, Op
from anyservice_core.errors import PlanError
from anyservice_core.metrics.asking import UnreadableError, readable
from anyservice_core.metrics.reading import Increase, Level, Reading, Said, Target
from anyservice_core.metrics.source import TO_BE_SHOWN, Seconds, Source

__all__ = ["Python", "measure_python"]

_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_HOW = 'give it as {call: "package.module:function"}'
_WHAT = "return True or False, a number, or the counts of both versions (Increase)"


class Python(Source):
    """A function of your own that is given a ``Target``.

    ``call``: its name, as ``package.module:function``; a plan made in Python may hold the function itself. One that cannot
    be imported by name stays in this process: such a plan cannot be written out.
    ``timeout_s``: bounds each call, in seconds.
    """

    name: ClassVar[str] = "python"

    call: Any
    timeout_s: Seconds = 60.0

    @field_validator("call")
    @classmethod
    def _can_be_called(cls, value: Any) -> Any:
        if isinstance(value, str):
            load(value)
            return value
        if not callable(value):
            raise ValueError(f"{type(value).__name__} is no function: {_HOW}")  # noqa: TRY004  (pydantic reads ValueError)
        return _name_of(value) or value

    @field_serializer("call", when_used="json")
    def _by_name(self, call: Any, info: SerializationInfo) -> str:
        if info.context is TO_BE_SHOWN:
            return shown(call)
        if not isinstance(call, str):
            raise PlanError(
                f"The function {shown(call)} cannot be imported by name, so another process could not call it.",
                hint="Define it at the top of a module, and give it as package.module:function.",
            )
        return call


def shown(call: Any) -> str:
    """What to call it before people."""
    return call if isinstance(call, str) else getattr(call, "__qualname__", type(call).__name__)


# ── names ───────────────────────────────────────────────────────────────────


def load(path: str) -> Callable[[Target], Any]:
    """The function that is called so. Raises ``ValueError`` that names it, and says why there is none."""
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} is no name of a function: {_HOW}")
    module, _, attributes = path.partition(":")
    try:
        with _here_too():
            found: Any = importlib.import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as error:  # noqa: BLE001  # whatever the module does when it is imported
        raise ValueError(f"cannot import {path!r}: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise ValueError(f"{path!r} is {type(found).__name__}, not a function")  # noqa: TRY004
    function: Callable[[Target], Any] = found
    return function


@contextmanager
def _here_too() -> Iterator[None]:
    """Installed commands do not look for modules in the present folder, where people expect their own to be found."""
    here = os.getcwd()  # noqa: PTH109  # the text that goes into sys.path
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _name_of(function: Any) -> str | None:
    """The name that another process could import it by, if there is one."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or module == "__main__" or "<" in name:
        return None
    path = f"{module}:{name}"
    try:
        return path if load(path) == function else None
    except ValueError:
        return None


# ── calling ─────────────────────────────────────────────────────────────────


class _LateError(Exception):
    """The user's function has not come back in time."""


class _Outcome(NamedTuple):
    value: Any
    error: BaseException | None


_hanging: Final[dict[tuple[Any, ...], Thread]] = {}


def measure_python(source: Python, target: Target) -> Op[Reading]:
    """One measurement: what the function says."""
    return readable(_measure(source, target))


def _measure(source: Python, target: Target) -> Op[Reading]:
    name = shown(source.call)
    try:
        value: Any = yield from Call(_call, (source.call, target, source.timeout_s))
    except _LateError as error:
        raise UnreadableError(f"{name} {error}") from None
    except Exception as error:  # noqa: BLE001  # whatever the user's function raises
        text = f"{name} raised {type(error).__name__}: {error}"
        raise UnreadableError(text.replace(target.query_auth_token or "\0", "***")) from None
    try:
        return _reading(value)
    except ValueError as error:
        raise UnreadableError(f"{name} {error}") from None


def _call(call: Any, target: Target, timeout_s: float) -> Any:
    """The function's value, if it comes in time."""
    key = (call if isinstance(call, str) else id(call), target.service_id, target.canary_id)
    if key in _hanging and _hanging[key].is_alive():
        raise _LateError("still hangs since it was last called")
    _hanging.pop(key, None)
    outcomes: list[_Outcome] = []
    context = contextvars.copy_context()
    thread = Thread(
        target=lambda: outcomes.append(context.run(_outcome, call, target)),
        daemon=True,
        name=f"check {shown(call)}",
    )
    thread.start()
    thread.join(timeout_s)
    if not outcomes:
        _hanging[key] = thread
        raise _LateError(f"did not return within {timeout_s:g} s")
    value, error = outcomes[0]
    if error is not None:
        raise error if isinstance(error, Exception) else RuntimeError(repr(error))
    return value


def _outcome(call: Any, target: Target) -> _Outcome:
    try:
        function = load(call) if isinstance(call, str) else call
        value = function(target)
        return _Outcome(anyio.run(_awaited, value) if inspect.isawaitable(value) else value, None)
    except BaseException as error:  # noqa: BLE001  # sys.exit in a check ends the check
        return _Outcome(None, error)


async def _awaited(value: Any) -> Any:
    return await value


_increase: Final = TypeAdapter(Increase)


def _reading(value: Any) -> Reading:
    """Raises ``ValueError`` for what says nothing."""
    if hasattr(value, "item") and not getattr(
        value, "shape", ()
    ):  # a number or truth value of NumPy or PyTorch
        value = value.item()
    if isinstance(value, Level | Said):
        return value
    if isinstance(value, bool):
        return Said(value)
    if isinstance(value, Real):
        return Level(float(value) if math.isfinite(value) else None)
    try:
        counts = _increase.validate_python(value)
    except ValidationError:
        raise ValueError(f"returned {type(value).__name__}: {_WHAT}") from None
    for count in (counts.canary, counts.primary):
        if not 0 <= count.bad <= count.requests:
            raise ValueError(f"returned {count.bad} bad answers of {count.requests}")
    return counts
