"""Lists come in pages; a by-name lookup must not stop at the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from anyservice_core.effects import Op, Request
from anyservice_core.errors import DecodeError
from anyservice_core.models.wire import Results
from anyservice_core.operations.sending import send_page

__all__ = ["PAGE_SIZE", "collect", "page"]

T = TypeVar("T")

PAGE_SIZE = 50


def page(
    path: str,
    model: type[T],
    params: Mapping[str, Any],
    token: str | None = None,
    *,
    forgiving: bool = False,
) -> Op[Results[T]]:
    """One page. A server that gives the same token twice would have us read for ever, so that is an error."""
    query = {**params, "paging_token": token} if token else dict(params)
    answer = yield from send_page(Request("GET", path, params=query), model, forgiving=forgiving)
    if token and answer.metadata.next_paging_token == token:
        raise DecodeError(f"The pages of {path} never end: the server gave the same paging token twice.")
    return answer


def collect(path: str, model: type[T], params: Mapping[str, Any]) -> Op[list[T]]:
    """Every item of every page."""
    items: list[T] = []
    token: str | None = None
    while True:
        answer = yield from page(path, model, params, token)
        items += answer.results
        token = answer.metadata.next_paging_token
        if not token or not answer.results:
            return items
