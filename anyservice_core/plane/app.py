"""The ASGI shell around ``api``: HTTP in, HTTP out, uploads streamed to disk. It has no rules of its own."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from anyservice_core.errors import AnyserviceError, ApiError
from anyservice_core.plane.api import Api
from anyservice_core.plane.routes import ApiReply, ApiRequest

__all__ = ["application"]

log = logging.getLogger(__name__)
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]


def application(api: Api) -> Starlette:
    """Give the ASGI application that serves ``api``."""

    async def answer(request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw) if raw else None
        except ValueError as error:
            return _error(400, f"the body is not JSON: {error}")
        asked = ApiRequest(
            method=request.method,
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
            return _error(error.status if isinstance(error, ApiError) else 500, str(error))
        return Response(status_code=200)

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    routes = [
        Route("/healthz", health, methods=["GET"]),
        Route("/plane/v1/bundles/{name}", upload, methods=["PUT"]),
        Route("/{path:path}", answer, methods=METHODS),
    ]
    return Starlette(routes=routes, exception_handlers={Exception: _surprise})


async def _save(request: Request, path: Path) -> None:
    async with await anyio.open_file(path, "wb") as file:
        async for chunk in request.stream():
            await file.write(chunk)


def _response(reply: ApiReply) -> Response:
    if reply.body is None:
        return Response(status_code=reply.status)
    if isinstance(reply.body, str):
        return PlainTextResponse(reply.body, status_code=reply.status)
    return JSONResponse(reply.body, status_code=reply.status)


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": {"detail": text}}, status_code=status)


def _surprise(request: Request, error: Exception) -> Response:
    """Answer a fault of our own in the API's form; the log has the rest."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _error(500, f"the plane failed to answer: {type(error).__name__}; its log says more")
