"""Kinds of values, with errors that say the way out, and completion."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _Kind = click.ParamType[Any]
else:
    _Kind = click.ParamType

__all__ = ["PERCENT", "SORT", "SORTS", "STATE", "STATES", "Word"]

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
