"""Between the plane's own requests and replies and those of its HTTP server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response

from anyservice_core.errors import AnyserviceError
from anyservice_core.plane.api import refusal
from anyservice_core.plane.routes import ApiReply

__all__ = ["address", "refused", "response", "says_no", "seen_from"]


def address(request: HTTPConnection) -> str:
    """Where a request came from."""
    return request.client.host if request.client else ""


def response(reply: ApiReply) -> Response:
    headers = dict(reply.headers)
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    if isinstance(reply.body, str):
        return PlainTextResponse(reply.body, status_code=reply.status, headers=headers)
    return JSONResponse(reply.body, status_code=reply.status, headers=headers)


def seen_from(plane: str, reply: ApiReply) -> ApiReply:
    """Give the reply with services at the host by which the plane itself was found, at this URL."""
    parts = urlsplit(plane)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname

    def moved(one: Any) -> Any:
        if not (isinstance(one, dict) and "base_url" in one):
            return one
        here = f"{host}:{urlsplit(one['base_url']).port}"
        return {**one, "hostname": here, "base_url": f"{parts.scheme}://{here}"}

    body = reply.body
    if isinstance(body, dict) and "result" in body:
        body = {**body, "result": moved(body["result"])}
    if isinstance(body, dict) and "results" in body:
        body = {**body, "results": [moved(one) for one in body["results"]]}
    return replace(reply, body=body)


def refused(error: AnyserviceError) -> Response:
    """Answer an error in the API's form."""
    return response(refusal(error))


def says_no(status: int, text: str) -> Response:
    """Answer a status of the server's own in the API's form."""
    return response(ApiReply(status, {"error": {"detail": text}}))
