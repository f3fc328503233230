"""JMESPath, for finding a number in JSON: a language of paths and filters, in which nothing can be run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from anyservice_core.metrics.asking import UnreadableError

__all__ = ["check_path", "find", "number"]


def check_path(path: str) -> None:
    """Raise ``ValueError`` for what is no JMESPath."""
    try:
        _compiled(path)
    except JMESPathError as error:
        raise ValueError(f"{path!r} is no JMESPath: {str(error).splitlines()[0].rstrip(':')}") from None


def find(path: str, content: Any) -> Any:
    """What ``path`` leads to in ``content``; ``None`` where it leads nowhere."""
    try:
        return _compiled(path)(content)
    except JMESPathError as error:
        raise UnreadableError(f"{path!r} does not fit the answer: {str(error).splitlines()[0]}") from None


def number(path: str, content: Any) -> float | None:
    """The number that ``path`` leads to; ``None`` for null and NaN, which are no data."""
    found = find(path, content)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UnreadableError(
            f"{path!r} leads to {_kind(found)} where one number is needed{_mended(found, path)}"
        )
    return float(found) if math.isfinite(found) else None


def _kind(found: Any) -> str:
    match found:
        case dict():
            return "an object"
        case list():
            return f"a list of {len(found)}"
        case str():
            return "a text"
    return json.dumps(found)


def _mended(found: Any, path: str) -> str:
    if isinstance(found, str):
        return f": write to_number({path})"
    return f": write {path} | [0], or sum({path})" if isinstance(found, list) else ""


@lru_cache(maxsize=512)
def _compiled(path: str) -> Callable[[Any], Any]:
    search: Callable[[Any], Any] = jmespath.compile(path).search
    return search
