"""Blocking calls of Airflow's from a trigger, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

__all__ = ["aside"]

T = TypeVar("T")


async def aside(function: Callable[..., T], *args: Any) -> T:
    """Call it in a thread, and let a cancellation through as it is.

    Airflow tells by the words of a cancellation that a person has ended the task, and only then calls ``on_kill``.
    ``sync_to_async`` drops the words, so a kill at this very moment would not be one.
    """
    return await asyncio.shield(asyncio.ensure_future(sync_to_async(function)(*args)))
