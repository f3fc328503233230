"""Connections to services of somebody else's, of which this plane has none."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from anyservice_core.errors import NotFoundError
from anyservice_core.models.wire import ConnectionWire
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.routes import ApiReply, ApiRequest, Page, Routes, page

__all__ = ["routes"]

routes = Routes()


class _Named(BaseModel):
    name: str | None = None


@routes.on("GET /api/v2/integrations/connections/databricks", query=_Named, answer=Page(ConnectionWire))
def _list(_: Desk, __: ApiRequest) -> ApiReply:
    """List connections to Databricks: none."""
    return page([], 0)


@routes.on(
    "GET /api/v2/integrations/connections/databricks/{connection}", answer=ConnectionWire, refusals=(404,)
)
def _show(_: Desk, __: ApiRequest, connection: str) -> Any:
    """Show a connection to Databricks."""
    raise NotFoundError(f"Connection '{connection}' was not found: this plane has none.", status=404)
