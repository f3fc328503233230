"""The body of a request, from bytes to what handlers may rely on: a JSON object, or nothing.

What would break a later step is refused here, so that it is the client's error and not ours: numbers that
JSON has no way to write again, halves of characters, and nesting that a recursion would not survive.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from anyservice_core.errors import RejectedError

__all__ = ["MAX_BODY", "MAX_UPLOAD", "check_type", "parse"]

MAX_BODY: Final = 8 * 2**20
MAX_UPLOAD: Final = 4 * 2**30
_MAX_DEPTH: Final = 64


def check_type(headers: Mapping[str, str]) -> None:
    """Refuse a body that says of itself that it is something else than JSON; one that says nothing is taken for it.

    Raises:
        RejectedError: 415.
    """
    said = headers.get("content-type", "").partition(";")[0].strip().lower()
    if said and not (said == "application/json" or said.endswith("+json")):
        raise RejectedError(f"the body is {said}.", hint="Send JSON, as application/json.", status=415)


def parse(raw: bytes) -> dict[str, Any] | None:
    """Read a body; ``None`` if it is empty.

    Raises:
        RejectedError: it is not JSON (400), or not an object that can be kept (422).
    """
    if not raw.strip():
        return None
    try:
        body = json.loads(raw, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise RejectedError(f"the body is not JSON: {error}", status=400) from None
    if not isinstance(body, dict):
        raise RejectedError(
            f"the body is a JSON {_KINDS.get(type(body), 'value')}; this API takes an object.", status=422
        )
    if _depth(body) > _MAX_DEPTH:
        raise RejectedError(f"the body is nested more than {_MAX_DEPTH} deep.", status=422)
    if b"\\ud" in raw.lower():
        _check_characters(body)
    return body


_KINDS: Final = {
    list: "list",
    str: "text",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is larger than any number here")
    return number


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _depth(body: Any) -> int:
    depth, level = 0, [body]
    while level and depth <= _MAX_DEPTH:
        depth += 1
        level = [child for value in level for child in _children(value)]
    return depth


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.values()]
    return value if isinstance(value, list) else []


def _check_characters(body: Any) -> None:
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RejectedError(
            "the body has half of a surrogate pair, which is no character.", status=422
        ) from None
