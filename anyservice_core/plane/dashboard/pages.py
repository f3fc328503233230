"""The dashboard behind HTTP: three pages, their files, a live feed, logging in, and two changes.

The page itself tells nothing, so it is the same for everyone, with status 401 until its session is known; what
it shows comes from the feed, which needs a session. So links from elsewhere, whose first request browsers send
without ``SameSite=Strict`` cookies, lead to the service and not to a login.

Only a browser that was told to come to this machine by a loopback name finds any of this: under another name,
which a hostile site may have made to mean 127.0.0.1, there is no dashboard.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from anyservice_core.errors import AnyserviceError, AuthError, RejectedError
from anyservice_core.plane.answers import address, refused, says_no
from anyservice_core.plane.api import Api
from anyservice_core.plane.dashboard.board import Board
from anyservice_core.plane.dashboard.history import History
from anyservice_core.plane.dashboard.sessions import CODE_S, SESSION_S, Sessions
from anyservice_core.plane.dashboard.stream import feed
from anyservice_core.plane.reading import parse
from anyservice_core.plane.routes import ApiRequest

__all__ = ["LOOPBACK", "Dashboard"]

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_STATIC: Final = Path(__file__).parent / "static"
_FILES: Final = {
    "dashboard.css": "text/css",
    "dashboard.js": "text/javascript",
    "elements.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "list.js": "text/javascript",
    "pictures.js": "text/javascript",
}
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_MOST_BYTES: Final = 4096
_CHANGES: Final = ("rollback", "terminate")
_Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class _Local(Route):
    """A route for browsers that came by one of these names; for all others there is none."""

    def __init__(self, path: str, handler: _Handler, method: str, names: Collection[str]) -> None:
        super().__init__(path, _careful(handler), methods=[method])
        self._names = names

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        name, _, port = host.rpartition(":")
        known = (name if port.isdecimal() else host).lower() in self._names
        match, child = super().matches(scope)
        return (match, child) if known and match is Match.FULL else (Match.NONE, {})


class Dashboard:
    """The dashboard of a plane.

    Args:
        ending: says whether the plane is about to stop, so that live feeds end in time.
        names: what the plane may be called by browsers.
    """

    def __init__(
        self,
        api: Api,
        history: History,
        *,
        ending: Callable[[], bool] = lambda: False,
        names: Collection[str] = LOOPBACK,
    ) -> None:
        self._api = api
        self._board = Board(api, history)
        self._sessions = Sessions(api.token, api.clock)
        self._ending = ending
        self._names = names

    def routes(self) -> Iterator[BaseRoute]:
        """Give the routes, to be asked before the API's."""
        table: dict[str, _Handler] = {
            "GET /": self._page,
            "GET /login": self._page,
            "GET /services": self._page,
            "GET /services/{service}": self._page,
            "GET /v2/api-keys": self._page,  # where official clients send who shows a wrong token
            "GET /dashboard/static/{file}": self._file,
            "POST /dashboard/codes": self._code,
            "POST /dashboard/session": self._log_in,
            "DELETE /dashboard/session": self._log_out,
            "GET /dashboard/feed": self._feed,
            "POST /dashboard/services/{service}/{change}": self._change,
        }
        for line, handler in table.items():
            method, path = line.split(" ")
            yield _Local(path, handler, method, self._names)

    # ── what anyone may see ──

    async def _page(self, request: Request) -> Response:
        status = 200 if self._sessions.known(request.headers) else 401
        return FileResponse(_STATIC / "index.html", status_code=status)

    async def _file(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name not in _FILES:
            return says_no(404, "no such file")
        return FileResponse(_STATIC / name, media_type=_FILES[name])

    # ── logging in ──

    async def _code(self, request: Request) -> Response:
        """Give who has the token a code to log in with: ``anyservice plane dashboard`` makes it a link."""
        self._api.admit(request.headers, address(request))
        return JSONResponse({"result": {"code": self._sessions.code(), "expires_in_s": CODE_S}})

    async def _log_in(self, request: Request) -> Response:
        shown = await _small_body(request)
        try:
            session = self._sessions.log_in(code=_text(shown, "code"), token=_text(shown, "token"))
        except AuthError as error:
            raise self._api.guard.wrong(address(request), error) from None
        answer = JSONResponse({"key": session.key})
        answer.set_cookie(
            self._sessions.cookie_name,
            session.cookie,
            max_age=int(SESSION_S),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def _log_out(self, request: Request) -> Response:
        self._sessions.admit(request.headers)
        answer = Response(status_code=204)
        answer.delete_cookie(self._sessions.cookie_name, httponly=True, samesite="strict")
        return answer

    # ── what needs a session ──

    async def _feed(self, request: Request) -> Response:
        self._sessions.admit(request.headers)
        service = request.query_params.get("service")
        if service is not None:
            await to_thread.run_sync(self._api.find, service)
        read = self._board.list if service is None else lambda: self._board.service(service)
        return StreamingResponse(feed(read, self._ending), media_type="text/event-stream")

    async def _change(self, request: Request) -> Response:
        """Do what the API would on the same request, by the API's own rules."""
        self._sessions.admit(request.headers)
        change = request.path_params["change"]
        if change not in _CHANGES:
            return says_no(404, f"'{change}' is none of {', '.join(_CHANGES)}")
        asked = ApiRequest(
            method="POST",
            path=f"/api/v2/services-v2/{request.path_params['service']}/{change}",
            headers={"authorization": f"Bearer {self._api.token}"},
        )
        reply = await to_thread.run_sync(self._api.answer, asked)
        return Response(status_code=204) if reply.status < 300 else JSONResponse(reply.body, reply.status)


def _careful(handler: _Handler) -> _Handler:
    """Give a handler whose refusals have the API's form, and whose every answer the same strict headers."""

    async def answer(request: Request) -> Response:
        try:
            response = await handler(request)
        except AnyserviceError as error:
            response = refused(error)
        response.headers.update(_HEADERS)
        return response

    return answer


async def _small_body(request: Request) -> dict[str, Any]:
    """Read what a page of ours sent: other sites' pages cannot send this type without asking first."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise RejectedError("the body is not application/json.", status=415)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise RejectedError(f"the body has more than {_MOST_BYTES} bytes.", status=413)
    return parse(body) or {}


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise RejectedError(f"{name} is {json.dumps(value)[:40]}; it must be text.", status=422)
    return value
