"""The ASGI shell around ``api``: HTTP in, HTTP out, uploads streamed to disk. It has no rules of its own.

Nobody is listened to without the token: it is looked at before the body is read. Two paths need none: the
health check, and an upload, whose URL is signed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from anyservice_core.errors import AnyserviceError, ApiError, RejectedError
from anyservice_core.plane.api import Api
from anyservice_core.plane.reading import MAX_BODY, MAX_UPLOAD, parse
from anyservice_core.plane.routes import ApiReply, ApiRequest

__all__ = ["application"]

log = logging.getLogger(__name__)
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]


def application(api: Api, pages: Iterable[BaseRoute] = ()) -> Starlette:
    """Give the ASGI application that serves ``api``, and before it what else the plane shows at its address."""

    async def answer(request: Request) -> Response:
        try:
            api.admit(request.headers)
            body = parse(await _body(request))
        except AnyserviceError as error:
            return _refusal(error)
        asked = ApiRequest(
            method="GET" if request.method == "HEAD" else request.method,
            path=request.url.path,
            query=ApiRequest.parse_query(request.url.query),
            headers=dict(request.headers),
            body=body,
            base_url=str(request.base_url).rstrip("/"),
        )
        return _response(await to_thread.run_sync(api.answer, asked))

    async def upload(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            if not api.bundles.accepts(name, request.query_params.get("signature", "")):
                return _error(403, "the upload URL is not one that this plane gave out")
            draft = api.bundles.draft()
            try:
                await _save(request, draft)
                await to_thread.run_sync(api.bundles.keep, name, draft)
            finally:
                draft.unlink(missing_ok=True)
        except AnyserviceError as error:
            return _refusal(error)
        return Response(status_code=200)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    routes = [
        Route("/healthz", health, methods=["GET"]),
        Route("/plane/v1/bundles/{name}", upload, methods=["PUT"]),
        *pages,
        Route("/{path:path}", answer, methods=METHODS),
    ]
    handlers = {HTTPException: _unusual, Exception: _surprise}
    return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]


async def _body(request: Request) -> bytes:
    """Read a body that is not too large, and no more of one that is."""
    parts = [part async for part in _limited(request, MAX_BODY)]
    return b"".join(parts)


async def _save(request: Request, path: Path) -> None:
    async with await anyio.open_file(path, "wb") as file:
        async for chunk in _limited(request, MAX_UPLOAD):
            await file.write(chunk)


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


def _response(reply: ApiReply) -> Response:
    if reply.body is None:
        return Response(status_code=reply.status)
    if isinstance(reply.body, str):
        return PlainTextResponse(reply.body, status_code=reply.status)
    return JSONResponse(reply.body, status_code=reply.status)


def _refusal(error: AnyserviceError) -> Response:
    return _error(error.status if isinstance(error, ApiError) else 500, str(error))


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": {"detail": text}}, status_code=status)


def _unusual(request: Request, error: HTTPException) -> Response:
    """Answer what the server itself refuses, such as a method of one's own, in the API's form."""
    return _error(error.status_code, f"{request.method} {request.url.path}: {error.detail}")


def _surprise(request: Request, error: Exception) -> Response:
    """Answer a fault of our own in the API's form; the log has the rest."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _error(500, f"the plane failed to answer: {type(error).__name__}; its log says more")
