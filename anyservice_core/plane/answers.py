"""Between the plane's own requests and replies and those of its HTTP server."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, Response

from anyservice_core.errors import AnyserviceError
from anyservice_core.plane.api import refusal
from anyservice_core.plane.routes import ApiReply

__all__ = ["address", "refused", "response", "says_no"]


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


def refused(error: AnyserviceError) -> Response:
    """Answer an error in the API's form."""
    return response(refusal(error))


def says_no(status: int, text: str) -> Response:
    """Answer a status of the server's own in the API's form."""
    return response(ApiReply(status, {"error": {"detail": text}}))
