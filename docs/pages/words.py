"""Small things that all pages need."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

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
    """A type as people write it."""
    text = inspect.formatannotation(annotation) if not isinstance(annotation, str) else annotation
    text = re.sub(r"\b(?:[a-z_]+\.)+([A-Z]\w*)", r"\1", text)
    text = re.sub(r"Annotated\[(\w+), .*?\)\]", r"\1", text)
    return re.sub(r"Optional\[(.*)\]", r"\1 | None", text).replace("datetime.datetime", "datetime")
