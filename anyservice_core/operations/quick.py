"""A status as plain values, for a process that lives for this one question.

Building the models takes longer than all the rest of ``anyservice status``. So this reads what servers nearly
always send, and leaves everything else to the models: more pages than one, namesakes, an answer of another shape.
Whatever it does say is what they would have said; ``tests/core/test_quick.py`` holds the two side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from anyservice_core.effects import Op, Request
from anyservice_core.errors import NotFoundError, RejectedError
from anyservice_core.models.enums import ServiceVersionState, news, service_error, service_state
from anyservice_core.operations.sending import exchange

__all__ = ["status"]

_SERVICES: Final = "/api/v2/services-v2/"
_EPOCH: Final = datetime.fromtimestamp(0, UTC).isoformat()
_NEEDED: Final = object()


class _OddError(Exception):
    """Something for the models."""


def status(name: str | None = None, *, id: str | None = None) -> Op[dict[str, Any] | None]:
    """``services.status(...).to_dict()`` without the versions' configs and the checklist; ``None`` where that takes the models.

    Raises ``ApiError`` and ``TransportError`` as that does.
    """
    try:
        service = yield from _service(name, id)
        project = yield from _project(_take(service, "project_id", str, ""))
        return _status(service, project)
    except (_OddError, ValueError):
        return None


def _service(name: str | None, id: str | None) -> Op[dict[str, Any]]:
    if id:
        return (yield from _result(Request("GET", f"{_SERVICES}{id}")))
    if not name:
        raise _OddError
    query = {"name": name, "archive_status": "NOT_ARCHIVED", "count": 50}
    page = yield from _body(Request("GET", _SERVICES, params=query))
    found = [one for one in _take(page, "results", list) if isinstance(one, dict) and one.get("name") == name]
    more = _take(_take(page, "metadata", dict, {}), "next_paging_token", str, "")
    if more or len(found) != 1:
        raise _OddError
    return dict(found[0])


def _project(id: str) -> Op[str | None]:
    if not id:
        return None
    try:
        project = yield from _result(Request("GET", f"/api/v2/projects/{id}", lasting=True))
    except NotFoundError:
        return None
    except RejectedError:
        raise _OddError from None
    name: str = _take(project, "name", str)
    return None if name == "default" else name


def _result(request: Request) -> Op[dict[str, Any]]:
    found: dict[str, Any] = _take((yield from _body(request)), "result", dict)
    return found


def _body(request: Request) -> Op[dict[str, Any]]:
    reply = yield from exchange(request)
    try:
        found: dict[str, Any] = _take({"body": json.loads(reply.body)}, "body", dict)
    except RecursionError:
        raise _OddError from None
    return found


def _take(content: Mapping[str, Any], key: str, kind: type, default: Any = _NEEDED) -> Any:
    """A value of this very kind; the default where there is none."""
    value = content.get(key)
    if value is None and default is not _NEEDED:
        return default
    if type(value) is not kind:
        raise _OddError
    if kind is str:
        str(value).encode()  # half a character is text to JSON, and a ValueError here
    return value


def _status(service: Mapping[str, Any], project: str | None) -> dict[str, Any]:
    primary, canary = (_take(service, f"{role}_version", dict, None) for role in ("primary", "canary"))
    versions = _take(service, "versions", list, [])
    both = (version for version in (primary, canary) if version is not None)
    read = {version["id"]: version for version in map(_version, (*both, *versions))}
    creator = _take(service, "creator", dict, None)
    raw = _take(service, "current_state", str)
    state = service_state(raw)
    return {
        "id": _take(service, "id", str),
        "name": _take(service, "name", str),
        "state": state.value,
        "query_url": _take(service, "base_url", str, ""),
        "query_auth_token": _take(service, "auth_token", str, None),
        "creator": creator and _take(creator, "email", str),
        "project": project,
        "primary_version": None if primary is None else {**read[primary["id"]]},
        "canary_version": None if canary is None else {**read[canary["id"]]},
        "versions": [{**read[version["id"]]} for version in versions],
        "error_message": service_error(raw, _take(service, "error_message", str, None)),
        **_news(raw, state),
    }


def _news(raw: str, state: StrEnum) -> dict[str, str]:
    word = news(raw, state)
    return {} if word is None else {"raw_state": word}


def _version(version: Any) -> dict[str, Any]:
    if not isinstance(version, dict):
        raise _OddError
    created = datetime.fromisoformat(_take(version, "created_at", str, _EPOCH))
    raw = _take(version, "current_state", str)
    state = ServiceVersionState(raw)
    return {
        "id": _take(version, "id", str),
        "name": _take(version, "version", str, ""),
        "state": state.value,
        "weight": _take(version, "weight", int),
        "created_at": (created if created.tzinfo else created.replace(tzinfo=UTC))
        .isoformat()
        .replace("+00:00", "Z"),
        **_news(raw, state),
    }
