"""A deploy as official clients put it on the wire, for tests that speak HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from anyservice_core.plane import catalog

__all__ = ["apply", "body", "served"]


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
