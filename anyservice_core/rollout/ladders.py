"""Whole ladders in a word, by the names that CodeDeploy made common.

    canary10percent30minutes         10 % for half an hour, then all
    linear10percentevery10minutes    10 %, 20 %, ... 90 %, ten minutes each
    allatonce                        no steps

In any case; ``minute`` and ``hour`` too.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["ladder"]

_CANARY = re.compile(r"canary(\d+)percent(\d+)(minute|hour)s?")
_LINEAR = re.compile(r"linear(\d+)percentevery(\d+)(minute|hour)s?")
_SECONDS = {"minute": 60.0, "hour": 3_600.0}
_HOW = "write weights, as [5, 25, 50], or canary10percent30minutes, linear10percentevery10minutes, allatonce"


def ladder(text: str) -> list[dict[str, Any]]:
    """The steps that ``text`` stands for. Raises ``ValueError``."""
    word = re.sub(r"[\s_.-]", "", text).lower()
    if word == "allatonce":
        return []
    if found := _CANARY.fullmatch(word):
        return [_step(_percent(text, found[1]), found)]
    if found := _LINEAR.fullmatch(word):
        percent = _percent(text, found[1])
        return [_step(weight, found) for weight in range(percent, 100, percent)]
    raise ValueError(f"{text!r} is no ladder: {_HOW}")


def _percent(text: str, digits: str) -> int:
    if not 1 <= int(digits) <= 99:
        raise ValueError(f"{text!r}: {digits} percent is not from 1 to 99")
    return int(digits)


def _step(weight: int, found: re.Match[str]) -> dict[str, Any]:
    return {"weight": weight, "bake": int(found[2]) * _SECONDS[found[3]]}
