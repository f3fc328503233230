"""Asking a store over HTTP: bounded in time and size, and whatever goes wrong is *unreadable*."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, ValidationError

from anyservice_core.effects import Op, Reply, Request
from anyservice_core.errors import AnyserviceError
from anyservice_core.metrics.reading import Reading, Unreadable

__all__ = ["MAX_BYTES", "UnreadableError", "ask", "check_address", "content_of", "place", "readable"]

MAX_BYTES: Final = 1 << 20


class UnreadableError(Exception):
    """Kept within this room: there is no usable answer, and the text says why."""


def readable(op: Op[Reading]) -> Op[Reading]:
    """What the measurement brings, or why there is nothing to bring."""
    try:
        return (yield from op)
    except UnreadableError as error:
        return Unreadable(str(error))


def ask(request: Request) -> Op[Reply]:
    """The answer, whatever its status. Raises ``UnreadableError`` where none comes, or one that is too long."""
    try:
        return (yield from request)
    except AnyserviceError as error:
        raise UnreadableError(error.message.rstrip(".")) from None


def content_of(reply: Reply, url: str) -> Any:
    """The JSON in an answer that says yes."""
    if not 200 <= reply.status < 300:
        raise UnreadableError(f"{place(url)} answered with HTTP {reply.status}{_advice(reply.status)}")
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        raise UnreadableError(f"{place(url)} answered with HTTP {reply.status} and no JSON") from None


def _advice(status: int) -> str:
    return ": look at `headers`, and at the variables that they name" if status in {401, 403} else ""


def place(url: str) -> str:
    """Where it was asked: without the query, which may be long or hold what is nobody's business."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def check_address(url: str) -> None:
    """Raise ``ValueError`` for what is no web address, or has a password in it."""
    try:
        address = AnyHttpUrl(url)
    except ValidationError:
        shown = "it" if "@" in url else repr(url)  # there may be a password before the @
        raise ValueError(f"{shown} is no web address: begin with http:// or https://") from None
    if address.password or address.username:
        raise ValueError(
            "a user or password in an address would end up in logs: leave it out, and use `headers` with {env: NAME}"
        )
