"""From an answer's body to a model, or to an error that says what does not fit.

A null where none may be is taken for a field that is not there, since servers differ in which of the two they send.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, reduce
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from anyservice_core.effects import Op, Reply, Report, Request
from anyservice_core.errors import DecodeError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from anyservice_core.models.wire import Result, Results

__all__ = ["LeftOut", "decode", "place", "read", "readable"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An item of a list could not be read, so the list goes on without it."""

    why: str

    def __str__(self) -> str:
        return f"left out of the list: {self.why}"


def decode(request: Request, reply: Reply, model: type[T]) -> T:
    """What is inside the envelope of a single answer."""
    from anyservice_core.models.wire import Result

    envelope: Result[T] = read(request, reply, Result[model])  # type: ignore[valid-type]
    return envelope.result


@cache
def _reader(shape: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


def read(request: Request, reply: Reply, shape: Any) -> Any:
    """The body as ``shape``, or ``DecodeError`` naming what does not fit, without the body's values."""
    from pydantic import ValidationError

    try:
        try:
            return _reader(shape).validate_json(reply.body)
        except ValidationError as error:
            return _reader(shape).validate_json(_without_nulls(reply.body, error))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DecodeError(
            f"The answer to {place(request)} is not what the contract says: {where or 'body'}: {first['msg']}.",
            hint="Is this host an Anyscale-compatible control plane?",
        ) from None


def _without_nulls(body: bytes, error: ValidationError) -> bytes:
    """The body without those nulls that were refused."""
    places = [detail["loc"] for detail in error.errors(include_url=False) if detail["input"] is None]
    if not any(places):
        return body
    content = json.loads(body)
    for *path, name in filter(None, places):
        holder = reduce(_inside, path, content)
        if isinstance(holder, dict) and holder.get(name, ...) is None:
            del holder[name]
    return json.dumps(content).encode()


def _inside(content: Any, key: Any) -> Any:
    """A step of a path, which names also the kinds of what it goes through."""
    try:
        return content[key]
    except (KeyError, IndexError, TypeError):
        return content


# ── lists ───────────────────────────────────────────────────────────────────


def readable(request: Request, reply: Reply, model: type[T], error: DecodeError) -> Op[Results[T]]:
    """The page without what cannot be read; the error, if that is all of it."""
    from anyservice_core.models.wire import PageMetadata, Results

    try:
        whole = json.loads(reply.body)
    except (ValueError, RecursionError):
        raise error from None
    if not isinstance(whole, dict) or not isinstance(whole.get("results"), list):
        raise error
    items: list[T] = []
    for item in whole["results"]:
        try:
            items.append(_again(request, item, model))
        except DecodeError as odd:
            yield from Report(LeftOut(odd.message))
    if not items:  # then it is not one of them that is odd, it is the server
        raise error
    metadata = _again(request, whole.get("metadata") or {}, PageMetadata)
    return Results(results=items, metadata=metadata)


def _again(request: Request, part: Any, shape: type[T]) -> T:
    found: T = read(request, Reply(HTTPStatus.OK, json.dumps(part).encode()), shape)
    return found


# ── where ───────────────────────────────────────────────────────────────────


def place(request: Request) -> str:
    """Method and place for a message, without the query: it may hold a secret."""
    try:
        url = urlsplit(request.path)
        port = f":{url.port}" if url.port else ""
    except ValueError:
        return f"{request.method} an address that cannot be read"
    host = f"{url.scheme}://{url.hostname}{port}" if url.netloc else ""
    return f"{request.method} {host}{url.path}"
