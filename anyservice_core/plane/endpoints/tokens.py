"""The tokens by which users may ask a service: two while they change over from one to the other."""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.errors import ConflictError, NotFoundError
from anyservice_core.models.wire import ServiceWire
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.routes import ApiRequest, Routes
from anyservice_core.plane.state import Service
from anyservice_core.plane.view import show

__all__ = ["routes"]

routes = Routes()


@routes.on(
    "POST /api/v2/services-v2/{service}/add_secondary_auth_token", answer=ServiceWire, refusals=(404, 409)
)
def _add_token(desk: Desk, _: ApiRequest, service: str) -> Any:
    """Give a service a second token."""
    return show(desk.change(service, _with_second_token, "add a second token"))


def _with_second_token(service: Service) -> Service:
    if service.auth_token is None:
        raise ConflictError(f"service '{service.name}' asks for no token.", status=409)
    if service.second_token is not None:
        raise ConflictError(
            f"service '{service.name}' has two tokens already.", hint="Delete one of them first.", status=409
        )
    return service.replace(second_token=secrets.token_urlsafe(24))


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True)

    auth_token: str | None = Field(default=None, repr=False)


@routes.on(
    "POST /api/v2/services-v2/{service}/delete_secondary_auth_token",
    query=_Named,
    answer=ServiceWire,
    refusals=(404, 409),
)
def _delete_token(desk: Desk, request: ApiRequest, service: str) -> Any:
    """Take one of two tokens away: the one that is named, else the first."""
    named = request.asked.auth_token or None
    return show(desk.change(service, lambda s: _without_token(s, named), "delete a token"))


def _without_token(service: Service, named: str | None) -> Service:
    """Take a token away: the second one if it is named, else the first, whose place the second takes."""
    first, second = service.auth_token, service.second_token
    if second is None:
        raise ConflictError(
            f"service '{service.name}' has one token at most, and that stays.",
            hint="Add a second one first; it takes the place of the one that is deleted.",
            status=409,
        )
    if named is None or _same(named, first or ""):
        return service.replace(auth_token=second, second_token=None)
    if _same(named, second):
        return service.replace(second_token=None)
    raise NotFoundError(f"service '{service.name}' has no such token.", status=404)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
