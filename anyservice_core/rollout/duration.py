"""Spans of time as people write them: ``90``, ``10s``, ``15m``, ``1h30m``, ``2d``."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator

__all__ = ["Duration", "format_duration", "parse_duration"]

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_HOW = "write 90, 10s, 15m, 1h30m or 2d"


def parse_duration(value: object) -> float:
    """Seconds in ``value``: a number of seconds, or a text such as ``1h30m``.

    Raises ``ValueError`` for anything else, negative and endless spans included.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a duration: {_HOW}")  # noqa: TRY004  (pydantic reads ValueError)
    seconds = _parse_text(value) if isinstance(value, str) else float(value)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{value!r} is not a duration: it must be 0 or more, and end")
    return seconds


def _parse_text(text: str) -> float:
    compact = text.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", compact, re.ASCII):
        return float(compact)
    parts = _PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is not a duration: {_HOW}")
    units = [unit for _, unit in parts]
    if len(set(units)) != len(units):
        raise ValueError(f"{text!r} is not a duration: a unit may appear once; {_HOW}")
    return math.fsum(float(number) * _UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """``5400`` as ``1h30m``: the two largest units that matter, rounded."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole >= 86_400:
        whole = round(whole / 3_600) * 3_600
    elif whole >= 3_600:
        whole = round(whole / 60) * 60
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, whole = divmod(whole, int(_UNITS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=float | str)]
