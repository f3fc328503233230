"""Requests, replies and the table that leads from one to the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from anyservice_core.errors import NotFoundError, RejectedError

__all__ = ["ApiReply", "ApiRequest", "Handler", "Routes"]


@dataclass(frozen=True)
class ApiRequest:
    """One request: ``body`` is the parsed JSON, ``base_url`` the address that the client used."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = None
    base_url: str = ""

    @classmethod
    def parse_query(cls, text: str) -> tuple[tuple[str, str], ...]:
        return tuple(parse_qsl(text, keep_blank_values=True))

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.query if key == name and value), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name and value]


@dataclass(frozen=True)
class ApiReply:
    """``body`` is sent as JSON, a ``str`` as plain text."""

    status: int
    body: Any = None


Handler: TypeAlias = Callable[..., Any]


class Routes:
    """A table of handlers; the first that fits a request answers it."""

    def __init__(self) -> None:
        self._table: list[tuple[str, re.Pattern[str], Handler]] = []

    def on(self, *patterns: str) -> Callable[[Handler], Handler]:
        """Enter a handler for patterns such as ``GET /api/v2/services-v2/{service}``."""

        def enter(handler: Handler) -> Handler:
            for pattern in patterns:
                method, path = pattern.split(" ")
                matcher = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.rstrip("/")) + "/?"
                self._table.append((method, re.compile(matcher), handler))
            return handler

        return enter

    def knows(self, request: ApiRequest) -> bool:
        """Say whether the table has this path, by whatever method."""
        return bool(self._matches(request))

    def _matches(self, request: ApiRequest) -> list[tuple[str, re.Match[str], Handler]]:
        path = re.sub("/{2,}", "/", request.path)
        return [(method, m, handler) for method, rx, handler in self._table if (m := rx.fullmatch(path))]

    def find(self, request: ApiRequest) -> tuple[Handler, dict[str, str]]:
        """Give the handler of a request and the names in its path.

        Raises:
            NotFoundError: no such path.
            RejectedError: the path is there, the method is not.
        """
        matches = self._matches(request)
        for method, match, handler in matches:
            if method == request.method:
                return handler, match.groupdict()
        if matches:
            allowed = ", ".join(sorted({method for method, _, _ in matches}))
            raise RejectedError(f"{request.method} {request.path} is not possible; {allowed} is.", status=405)
        raise NotFoundError(f"no such path: {request.method} {request.path}", status=404)
