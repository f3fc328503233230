"""A deploy as official clients put it on the wire, for tests that speak HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import httpx
from starlette.routing import BaseRoute

from anyservice_core.plane import app, catalog
from anyservice_core.testing import HOST, FakePlane

__all__ = ["Caller", "apply", "body", "detail", "served"]


def body(**changes: Any) -> dict[str, Any]:
    return {
        "name": "svc",
        "ray_serve_config": served("main:app"),
        "build_id": catalog.BUILD.id,
        "compute_config_id": catalog.COMPUTE.id,
        "config": {},
        **changes,
    }


def served(code: str) -> dict[str, Any]:
    return {"applications": [{"import_path": code}]}


def apply(http: httpx.Client, **changes: Any) -> httpx.Response:
    return http.put("/api/v2/services-v2/apply", json=body(**changes))


class Caller:
    """Asks the plane's application; a fault of it is an answer, as it is for real clients."""

    def __init__(
        self,
        plane: FakePlane,
        *,
        pages: Iterable[BaseRoute] = (),
        address: str = "127.0.0.1",
        beyond: bool = False,
        **headers: str,
    ) -> None:
        self.app = app.application(plane.api, pages, beyond=beyond)
        self.transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 123))
        self.headers = headers

    def request(self, method: str, path: str, **asked) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self.transport, base_url=HOST, headers=self.headers
            ) as http:
                return await http.request(method, path, **asked)

        return anyio.run(ask)

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def put(self, path: str, **asked) -> httpx.Response:
        return self.request("PUT", path, **asked)


def detail(answer) -> str:
    error = answer.json()["error"]
    return error["detail"] if isinstance(error["detail"], str) else error["message"]
