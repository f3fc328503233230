"""The wire contract from the server's side: a request in, a reply out, nothing else touched.

``Api.answer`` is all of the server that has rules; ``app`` puts it behind HTTP and ``testing``
behind a mock transport, so the fake cannot drift from the real one. It reads and writes the store,
never a process or a socket: ``reconcile`` turns what was asked for into what runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from anyservice_core.errors import AnyserviceError, ApiError
from anyservice_core.plane import openapi
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.endpoints import endpoints
from anyservice_core.plane.guard import Guard
from anyservice_core.plane.routes import ApiReply, ApiRequest, Routes

__all__ = ["Api", "refusal", "table"]

_about = Routes()


@_about.on("GET /openapi.json", answer=dict[str, Any], enveloped=False)
def _openapi(_: Desk, __: ApiRequest) -> ApiReply:
    """Describe this API in the form of OpenAPI 3.1."""
    return ApiReply(200, openapi.describe(table.endpoints))


table = Routes(endpoints, _about)


@dataclass
class Api(Desk):
    """The plane as its clients see it: whoever shows the token may ask for what is in ``endpoints``."""

    @cached_property
    def guard(self) -> Guard:
        return Guard(self.token, self.clock)

    def admit(self, headers: Mapping[str, str], address: str = "") -> None:
        """Raise ``AuthError``, or ``UnavailableError`` after too many of them, unless these show this plane's token."""
        self.guard.admit(headers, address)

    def answer(self, request: ApiRequest) -> ApiReply:
        """Answer a request; every error is a reply in the API's own form."""
        try:
            self.admit(request.headers, request.client)
            endpoint, names = table.match(request)
            return _reply(endpoint.handler(self, endpoint.reads(request), **names))
        except ValidationError as error:
            return ApiReply(422, {"error": _validation(error)})
        except AnyserviceError as error:
            reply = refusal(error)
            if reply.status == 405:
                return ApiReply(405, reply.body, {"Allow": ", ".join(table.methods(request))})
            return reply


def refusal(error: AnyserviceError) -> ApiReply:
    """Give an error as the API answers it, with what HTTP wants beside some of them."""
    status = error.status if isinstance(error, ApiError) else 500
    headers = {}
    if isinstance(error, ApiError) and error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return ApiReply(status, {"error": {"detail": str(error)}}, headers)


def _reply(answer: Any) -> ApiReply:
    if isinstance(answer, ApiReply):
        return answer
    if answer is None:
        return ApiReply(204)
    if isinstance(answer, BaseModel):
        answer = answer.model_dump(mode="json")
    return ApiReply(200, {"result": answer})


def _validation(error: ValidationError) -> dict[str, Any]:
    problems = [{"loc": list(e["loc"]), "msg": _said(e)} for e in error.errors()]
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return {"message": f"{where}: {first['msg']}", "detail": problems}


def _said(problem: ErrorDetails) -> str:
    """Say what is wrong; with the value only where it is a thing's name, since others may be secret."""
    if problem["type"] == "string_pattern_mismatch" and problem["loc"][-1] in {"name", "version"}:
        return f"{problem['input']!r:.200} does not match {problem['ctx']['pattern']}"
    return problem["msg"]
