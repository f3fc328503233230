"""Small things that all pages need."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

GENERATED = "<!-- Made by docs/generate.py from the code. Change that, then run it. -->\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def code(text: str) -> str:
    return f"`{text}`"


def prose(text: str | None) -> str:
    """A docstring as Markdown: its double backticks are single ones here, and what is indented is code."""
    clean = inspect.cleandoc(text or "")
    parts = [_part(part) for part in re.split(r"\n\s*\n", clean)]
    return "\n\n".join(part for part in parts if part)


def _part(part: str) -> str:
    if part.lstrip("\n").startswith("    "):
        return f"```python\n{textwrap.dedent(part)}\n```"
    return part.replace("``", "`")


def first_line(text: str | None) -> str:
    return prose(text).split("\n\n", 1)[0].replace("\n", " ")


def type_name(annotation: Any) -> str:
    """A type as people write it, without what is for validators only."""
    if isinstance(annotation, str):
        return re.sub(r"\b(?:[a-z_]+\.)+([A-Z]\w*)", r"\1", annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(inner[0])
    if origin in {Union, UnionType}:
        return " | ".join(type_name(one) for one in inner)
    if origin is Literal:
        return " | ".join(repr(one) for one in inner)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(type_name(one) for one in inner)}]"
    if annotation is Ellipsis:
        return "..."
    return "None" if annotation is type(None) else str(getattr(annotation, "__name__", annotation))
