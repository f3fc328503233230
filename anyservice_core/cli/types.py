"""Kinds of values, with errors that say the way out, and completion."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _Kind = click.ParamType[Any]
else:
    _Kind = click.ParamType

__all__ = ["PERCENT", "SORT", "SORTS", "STATE", "STATES", "Ladder", "Size", "Span", "Word"]

STATES: Final = (
    "STARTING",
    "RUNNING",
    "UPDATING",
    "ROLLING_OUT",
    "ROLLING_BACK",
    "UNHEALTHY",
    "TERMINATING",
    "TERMINATED",
    "UNKNOWN",
    "SYSTEM_FAILURE",
)


SORTS: Final = ("STATUS", "NAME", "CREATED_AT")


class Word(_Kind):
    """One of some words, in any case; given on in capitals."""

    def __init__(self, name: str, words: Sequence[str]) -> None:
        self.name = name
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = str(value).upper().replace("-", "_")
        if word not in self.words:
            close = difflib.get_close_matches(word, self.words, n=1)
            meant = f" Did you mean {close[0]}?" if close else f" It is one of {', '.join(self.words)}."
            self.fail(f"{value!r} is not a {self.name}.{meant}", param, ctx)
        return word

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [word for word in self.words if word.startswith(incomplete.upper())]
        return [CompletionItem(word if incomplete[:1].isupper() else word.lower()) for word in found]


class _Signed(Word):
    """The same with a '-' before it, or without."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        sign = "-" if text.startswith("-") else ""
        return sign + super().convert(text.removeprefix("-"), param, ctx)


class Span(_Kind):
    """A duration such as 90, 90s or 1h30m; given on in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from anyservice_core.rollout.duration import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Ladder(_Kind):
    """Rising percents with commas between them, the last one 100; given on as numbers."""

    name = "percents"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        words = [word.strip().removesuffix("%") for word in str(value).split(",")]
        rungs = [int(word) for word in words if word.isascii() and word.isdecimal()]
        if len(rungs) < len(words) or rungs != sorted({0, *rungs})[1:] or rungs[-1] != 100:
            self.fail(f"{value!r} does not rise from above 0 to 100; write it like 5,10,50,100.", param, ctx)
        return tuple(rungs)


class _Percent(_Kind):
    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).removesuffix("%")
        if not text.isdecimal() or int(text) > 100:
            self.fail(f"{value!r} is not a whole number from 0 to 100.", param, ctx)
        return int(text)


STATE: Final = Word("state", STATES)
SORT: Final = _Signed("field to sort by", SORTS)
PERCENT: Final = _Percent()


_UNITS: Final = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}


class Size(_Kind):
    """An amount of bytes such as 500MiB, 2GB or 0."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", str(value).strip().lower())
        if found is None:
            self.fail(f"{value!r} is not a size. Write it like 500MiB, 2GB, or 0.", param, ctx)
        return int(float(found[1]) * _UNITS[found[2] or ""])
