"""``{{ version.id }}`` and the like, filled into queries, addresses and bodies. Nothing is evaluated."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from anyservice_core.metrics.reading import Side, Target

__all__ = ["NAMES", "check", "fill", "fill_all", "in_path", "in_promql", "in_url", "mentions", "texts"]

_SLOT = re.compile(r"\{\{\s*([\w.]*)\s*\}\}")


def _seconds(target: Target) -> int:
    return max(1, round(target.window_s))


_NUMBERS: Final[Mapping[str, Callable[[Target], int]]] = {
    "weight": lambda target: target.weight,
    "window.seconds": _seconds,
    "window.start": lambda target: math.floor(target.at) - _seconds(target),
    "window.end": lambda target: math.floor(target.at),
}
_TEXTS: Final[Mapping[str, Callable[[Target, Side], str]]] = {
    "version.id": lambda target, side: target.version_id(side),
    "version.name": lambda target, side: target.version_name(side),
    "canary.id": lambda target, _: target.canary_id,
    "canary.name": lambda target, _: target.canary_name,
    "primary.id": lambda target, _: target.primary_id,
    "primary.name": lambda target, _: target.primary_name,
    "service.id": lambda target, _: target.service_id,
    "service.name": lambda target, _: target.service,
    "window": lambda target, _: f"{_seconds(target)}s",
}
NAMES: Final = (*_TEXTS, *_NUMBERS)


def check(value: Any) -> None:
    """Raise ``ValueError`` for a name that nothing stands for, in a text or anywhere in a JSON value."""
    for name in (name for text in texts(value) for name in _SLOT.findall(text)):
        if name not in NAMES:
            raise ValueError(f"unknown name {{{{ {name} }}}}: use one of {', '.join(NAMES)}")


def mentions(value: Any, prefix: str) -> bool:
    """Whether a name that is ``prefix``, or begins with it and a dot, is asked for."""
    names = {name for text in texts(value) for name in _SLOT.findall(text)}
    return any(name == prefix or name.startswith(f"{prefix}.") for name in names)


def texts(value: Any) -> list[str]:
    """All texts in a JSON value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    return [text for part in value for text in texts(part)] if isinstance(value, list | tuple) else []


def fill(text: str, target: Target, side: Side = "canary", *, quoted: Callable[[str], str] = str) -> str:
    """The text with its names filled in, each value ``quoted`` for where it stands."""
    return _SLOT.sub(lambda slot: quoted(_value(slot[1], target, side)), text)


def fill_all(value: Any, target: Target, side: Side = "canary") -> Any:
    """A JSON value with its texts filled in; one that is but the name of a number becomes that number."""
    if isinstance(value, str):
        alone = _SLOT.fullmatch(value.strip())
        return _NUMBERS[alone[1]](target) if alone and alone[1] in _NUMBERS else fill(value, target, side)
    if isinstance(value, Mapping):
        return {fill_all(key, target, side): fill_all(inner, target, side) for key, inner in value.items()}
    return [fill_all(inner, target, side) for inner in value] if isinstance(value, list | tuple) else value


def _value(name: str, target: Target, side: Side) -> str:
    return str(_NUMBERS[name](target)) if name in _NUMBERS else _TEXTS[name](target, side)


# ── so that a name cannot end the place it stands in ────────────────────────


def in_promql(value: str) -> str:
    """Fit for a label value between double quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def in_path(value: str) -> str:
    """Fit for a raw string of JMESPath, between single quotes."""
    return value.replace("'", "\\'")


def in_url(value: str) -> str:
    """Fit for a part of a path, or a value of a query."""
    return quote(value, safe="")
