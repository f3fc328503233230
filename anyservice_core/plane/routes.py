"""Requests, replies and the table that leads from one to the other.

A line of the table says what an endpoint takes and gives as well. Requests are read by that, and the plane's own
description of its API (``openapi``) is drawn from it, so what is described is what is done.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel

from anyservice_core.errors import NotFoundError, RejectedError

__all__ = ["ApiReply", "ApiRequest", "Endpoint", "Handler", "Page", "Routes", "Text", "page"]


@dataclass(frozen=True)
class ApiRequest:
    """One request: ``body`` is the parsed JSON, ``base_url`` the address that the client used, ``client`` its own.

    Where the endpoint has models for them, handlers get the query as one (``asked``), and the body as well.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = None
    base_url: str = ""
    client: str = ""
    asked: Any = None

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
    headers: Mapping[str, str] = field(default_factory=dict)


Handler: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Page:
    """Says of an endpoint that it answers a list of these, a page at a time."""

    item: Any


@dataclass(frozen=True)
class Text:
    """Says of an endpoint that it answers plain text."""


@dataclass(frozen=True)
class Endpoint:
    """A line of the table.

    ``query`` and ``body`` are what it takes, and ``bare`` says that it may be asked without a body. ``answer`` is what
    it gives: a type, a ``Page`` of one, ``Text``, or ``None`` for nothing (204); ``enveloped`` says that a type is given
    as ``{"result": ...}``. ``refusals`` are the statuses with which it may say no, beside those that any endpoint has.
    """

    method: str
    path: str
    handler: Handler
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    bare: bool = False
    answer: Any = None
    enveloped: bool = True
    refusals: tuple[int, ...] = ()

    @property
    def summary(self) -> str:
        """The first line of what its handler says of itself."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]

    @property
    def names(self) -> list[str]:
        """What varies in its path."""
        return re.findall(r"\{(\w+)\}", self.path)

    def reads(self, request: ApiRequest) -> ApiRequest:
        """Give the request with its query and body as this endpoint's models.

        Raises:
            pydantic.ValidationError: they do not fit.
        """
        body, asked = request.body, None
        if self.query is not None:
            asked = self.query.model_validate(_values(self.query, request.query))
        if self.body is not None:
            empty: Any = {} if self.bare else None
            body = self.body.model_validate(request.body if request.body is not None else empty, strict=True)
        return replace(request, body=body, asked=asked)


def _values(model: type[BaseModel], pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Give the values that a model knows, those of lists together, of others the first."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if (known := model.model_fields.get(key)) is None:
            continue
        if get_origin(known.annotation) is list:
            found.setdefault(key, []).append(value)
        else:
            found.setdefault(key, value)
    return found


def page(found: list[Any], total: int, next_token: str | None = None) -> ApiReply:
    """Give one page of a list as the API shows it."""
    shown = [item.model_dump(mode="json") if isinstance(item, BaseModel) else item for item in found]
    return ApiReply(200, {"results": shown, "metadata": {"total": total, "next_paging_token": next_token}})


class Routes:
    """A table of endpoints. Where several paths fit a request, the one with the fewest variables is meant."""

    def __init__(self, *tables: Routes) -> None:
        self._table: list[tuple[re.Pattern[str], Endpoint]] = []
        for table in tables:
            self._table += table._table  # noqa: SLF001  one of its own kind

    def on(self, *patterns: str, **says: Any) -> Callable[[Handler], Handler]:
        """Enter a handler for patterns such as ``GET /api/v2/services-v2/{service}``; ``says`` as in ``Endpoint``."""

        def enter(handler: Handler) -> Handler:
            for pattern in patterns:
                method, path = pattern.split(" ")
                matcher = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.rstrip("/")) + "/?"
                self._table.append((re.compile(matcher), Endpoint(method, path, handler, **says)))
            return handler

        return enter

    @property
    def endpoints(self) -> list[Endpoint]:
        return [endpoint for _, endpoint in self._table]

    def knows(self, request: ApiRequest) -> bool:
        """Say whether the table has this path, by whatever method."""
        return bool(self._matches(request))

    def _matches(self, request: ApiRequest) -> list[tuple[re.Match[str], Endpoint]]:
        path = re.sub("/{2,}", "/", request.path)
        fitting = [(m, endpoint) for rx, endpoint in self._table if (m := rx.fullmatch(path))]
        fewest = min((len(match.groups()) for match, _ in fitting), default=0)
        return [(match, endpoint) for match, endpoint in fitting if len(match.groups()) == fewest]

    def match(self, request: ApiRequest) -> tuple[Endpoint, dict[str, str]]:
        """Give the endpoint that a request is for, and the names in its path.

        Raises:
            NotFoundError: no such path.
            RejectedError: the path is there, the method is not.
        """
        matches = self._matches(request)
        for match, endpoint in matches:
            if endpoint.method == request.method:
                return endpoint, match.groupdict()
        if matches:
            allowed = ", ".join(sorted({endpoint.method for _, endpoint in matches}))
            raise RejectedError(f"{request.method} {request.path} is not possible; {allowed} is.", status=405)
        raise NotFoundError(f"no such path: {request.method} {request.path}", status=404)

    def find(self, request: ApiRequest) -> tuple[Handler, dict[str, str]]:
        """The same with the handler alone."""
        endpoint, names = self.match(request)
        return endpoint.handler, names

    def methods(self, request: ApiRequest) -> list[str]:
        """Give the methods by which this path can be asked."""
        return sorted({endpoint.method for _, endpoint in self._matches(request)})
