"""The ASGI shell around ``api``: HTTP in, HTTP out, uploads streamed to disk. It has no rules of its own.

Nobody is listened to without the token: it is looked at before the body is read. Two paths need none: the
health check, and an upload, whose URL is signed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from anyservice_core.errors import AnyserviceError, AuthError, RejectedError, UnavailableError
from anyservice_core.plane.answers import address, refused, response, says_no, seen_from
from anyservice_core.plane.api import Api
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.reading import MAX_BODY, MAX_UPLOAD, check_type, parse
from anyservice_core.plane.routes import ApiRequest

__all__ = ["application"]

log = logging.getLogger(__name__)
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]


def application(api: Api, pages: Iterable[BaseRoute] = (), *, beyond: bool = False) -> Starlette:
    """Give the ASGI application that serves ``api``, and before it what else the plane shows at its address.

    Args:
        beyond: it is asked from other machines, and shows services where those find them: at the name by which
            the plane itself was asked.
    """
    routes = [
        Route("/healthz", _health, methods=["GET"]),
        Route("/plane/v1/bundles/{name}", partial(_upload, api), methods=["PUT"]),
        *pages,
        Route("/{path:path}", partial(_answer, api, beyond), methods=METHODS),
    ]
    handlers = {HTTPException: _unusual, Exception: _surprise}
    return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]


async def _health(_: Request) -> Response:
    return PlainTextResponse("ok\n")


# ── the API ─────────────────────────────────────────────────────────────────


async def _answer(api: Api, beyond: bool, request: Request) -> Response:
    try:
        api.admit(request.headers, address(request))
        asked = await _asked(request)
    except AnyserviceError as error:
        return refused(error)
    reply = await to_thread.run_sync(api.answer, asked)
    return response(seen_from(asked.base_url, reply) if beyond else reply)


async def _asked(request: Request) -> ApiRequest:
    """Read what is asked, its body included."""
    raw = await _body(request)
    if raw:
        check_type(request.headers)
    return ApiRequest(
        method="GET" if request.method == "HEAD" else request.method,
        path=request.url.path,
        query=ApiRequest.parse_query(request.url.query),
        headers=dict(request.headers),
        body=parse(raw),
        base_url=str(request.base_url).rstrip("/"),
        client=address(request),
    )


async def _body(request: Request) -> bytes:
    """Read a body that is not too large, and no more of one that is."""
    parts = [part async for part in _limited(request, MAX_BODY)]
    return b"".join(parts)


# ── uploads ─────────────────────────────────────────────────────────────────


async def _upload(api: Api, request: Request) -> Response:
    name = request.path_params["name"]
    try:
        issued = api.bundles.admit(name, request.query_params)
        await _keep(api.bundles, request, name, issued)
        await to_thread.run_sync(api.bundles.prepare, name)
    except AuthError as error:
        return refused(api.guard.wrong(address(request), error))
    except AnyserviceError as error:
        return refused(error)
    return Response(status_code=200)


async def _keep(bundles: Bundles, request: Request, name: str, issued: float) -> None:
    """Stream it to a draft first; nothing is left of one that is not kept."""
    draft = bundles.draft()
    try:
        await _save(request, draft)
        await to_thread.run_sync(partial(bundles.keep, name, draft, issued=issued))
    finally:
        draft.unlink(missing_ok=True)


async def _save(request: Request, path: Path) -> None:
    try:
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in _limited(request, MAX_UPLOAD):
                await file.write(chunk)
    except OSError as error:
        raise UnavailableError(f"the upload cannot be kept: {error.strerror}.", status=507) from error


# ── bodies and faults ───────────────────────────────────────────────────────


async def _limited(request: Request, limit: int) -> AsyncIterator[bytes]:
    said = request.headers.get("content-length", "")
    length = int(said) if said.isascii() and said.isdecimal() else 0
    if length <= limit:
        length = 0
        async for chunk in request.stream():
            length += len(chunk)
            if length > limit:
                break
            yield chunk
    if length > limit:
        raise RejectedError(
            f"the body has more than {limit >> 20} MiB, which is all this plane takes.", status=413
        )


def _unusual(request: Request, error: HTTPException) -> Response:
    """Answer what the server itself refuses, such as a method of one's own, in the API's form."""
    return says_no(error.status_code, f"{request.method} {request.url.path}: {error.detail}")


def _surprise(request: Request, error: Exception) -> Response:
    """Answer a fault of our own in the API's form; the log has the rest."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return says_no(500, f"the plane failed to answer: {type(error).__name__}; its log says more")
