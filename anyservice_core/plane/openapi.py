"""The plane's own description of its API, in the form of OpenAPI 3.1, drawn from the table that answers requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from anyservice_core.models.wire import ErrorAnswer, PageMetadata
from anyservice_core.plane.routes import Endpoint, Page, Text

__all__ = ["ALWAYS", "describe"]

_REF: Final = "#/components/schemas/{model}"
ALWAYS: Final[Mapping[int, str]] = {
    400: "The body is not JSON.",
    401: "The token is missing, or not this plane's.",
    413: "The body is too large.",
    415: "The body is something else than JSON.",
    422: "The query or the body does not fit; `detail` says where.",
    429: "Too many wrong tokens from this address; `Retry-After` says when to come back.",
}
"""The statuses with which any endpoint may say no."""
_REFUSALS: Final = {
    **ALWAYS,
    403: "The URL is not one that this plane gave out, or too old.",
    404: "Something that the path or the body names is not there.",
    409: "Something is in the way; `detail` says what, and the way out.",
    503: "An address that a deploy names was not reached, or not fetched in time; try again.",
    507: "The disk is full.",
}
_HEADERS: Final[Mapping[int, str]] = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Give the whole description."""
    endpoints = [*endpoints]
    schemas = _Schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "anyservice plane", "version": version("anyservice"), "description": _ABOUT},
        "paths": {**paths, **_BESIDE},
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "cli_token"},
            },
        },
        "security": [{"bearer": []}, {"cookie": []}],
    }


_ABOUT: Final = (
    "The part of Anyscale's API that deploys and observes services, spoken by a control plane on one machine. "
    "Paths may end in a slash or not."
)


class _Schemas:
    """The schemas of all models that endpoints name, and where each of them is."""

    def __init__(self, endpoints: list[Endpoint]) -> None:
        answers = {_item(endpoint.answer) for endpoint in endpoints}
        asked = {model for e in endpoints for model in (e.query, e.body) if model is not None}
        written = [model for model in answers if _is_model(model)]
        read = [*asked]
        pairs: list[Any] = [
            *((model, "serialization") for model in [*written, ErrorAnswer, PageMetadata]),
            *((model, "validation") for model in read),
        ]
        pairs.sort(key=lambda pair: (pair[0].__name__, pair[1]))
        self._where, found = models_json_schema(pairs, ref_template=_REF)
        self.components: dict[str, Any] = found["$defs"]

    def given(self, kind: Any) -> dict[str, Any]:
        """The schema of something that is answered."""
        if _is_model(kind):
            return self._where[kind, "serialization"]
        schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template=_REF)
        self.components |= schema.pop("$defs", {})
        return schema

    def taken(self, model: type[BaseModel]) -> dict[str, Any]:
        """The schema of a body."""
        return self._where[model, "validation"]

    def fields(self, model: type[BaseModel]) -> dict[str, Any]:
        """The schema of a query, whole."""
        found: dict[str, Any] = self.components[self.taken(model)["$ref"].rpartition("/")[2]]
        return found


def _item(answer: Any) -> Any:
    return answer.item if isinstance(answer, Page) else answer


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


# ── one endpoint ────────────────────────────────────────────────────────────


def _operation(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    described = {
        "summary": endpoint.summary,
        "operationId": _id(endpoint),
        "tags": [endpoint.handler.__module__.rpartition(".")[2]],
        "parameters": [*map(_place, endpoint.names), *_query(endpoint, schemas)],
        "responses": {**_answer(endpoint, schemas), **_no([*ALWAYS, *endpoint.refusals])},
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas.taken(endpoint.body)}}
        described["requestBody"] = {"required": not endpoint.bare, "content": content}
    return described


def _id(endpoint: Endpoint) -> str:
    return re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.path}").strip("_")


def _place(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}


def _query(endpoint: Endpoint, schemas: _Schemas) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    whole = schemas.fields(endpoint.query)
    needed = whole.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": _without_null(schema)}
        for name, schema in whole["properties"].items()
    ]


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A query has no null: what is not there is left out."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "title"}}
    if rest.get("default", "") is None:
        del rest["default"]
    return {**rest, **kinds[0]} if len(kinds) == 1 else dict(rest, **({"anyOf": kinds} if kinds else {}))


def _answer(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    if endpoint.answer is None:
        return {"204": {"description": "Done."}}
    if isinstance(endpoint.answer, Text):
        return {"200": {"description": "Text.", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    if isinstance(endpoint.answer, Page):
        list_of = {"type": "array", "items": schemas.given(endpoint.answer.item)}
        whole = _object(results=list_of, metadata=schemas.given(PageMetadata))
        return {"200": {"description": "One page.", "content": _json(whole)}}
    if endpoint.enveloped:
        whole = _object(result=schemas.given(endpoint.answer))
    else:
        whole = schemas.given(endpoint.answer)
    return {"200": {"description": "The answer.", "content": _json(whole)}}


def _object(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": [*fields], "properties": fields}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _no(statuses: Iterable[int]) -> dict[str, Any]:
    """Describe these refusals, all in the one form that errors have."""
    error = _json({"$ref": _REF.format(model="ErrorAnswer")})
    found: dict[str, Any] = {}
    for status in sorted(set(statuses)):
        found[str(status)] = {"description": _REFUSALS[status], "content": error}
        if header := _HEADERS.get(status):
            found[str(status)]["headers"] = {header: {"required": True, "schema": {"type": "string"}}}
    return found


# ── what is beside the table ────────────────────────────────────────────────

_ZIP: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_BESIDE: Final[Mapping[str, dict[str, Any]]] = {
    "/healthz": {
        "get": {
            "summary": "Say whether the plane answers.",
            "operationId": "get_healthz",
            "security": [],
            "responses": {
                "200": {
                    "description": "It does.",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                }
            },
        }
    },
    "/plane/v1/bundles/{name}": {
        "put": {
            "summary": "Send a file to a URL that the plane gave out.",
            "operationId": "put_plane_v1_bundles_name",
            "security": [],
            "parameters": [
                _place("name"),
                {"name": "expires", "in": "query", "required": True, "schema": {"type": "string"}},
                {"name": "signature", "in": "query", "required": True, "schema": {"type": "string"}},
            ],
            "requestBody": {"required": True, "content": _ZIP},
            "responses": {
                "200": {"description": "It is kept."},
                **_no([403, 409, 413, 422, 429, 507]),
            },
        }
    },
}
