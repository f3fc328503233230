"""HTML and SVG that cannot be broken by what is written into it: all that is not markup already is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

from anyservice_core.rollout.facts import clean

__all__ = ["Child", "Markup", "join", "tag"]

_VOID = frozenset({"br", "circle", "line", "meta", "path", "rect"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | float | Iterable[Child] | None"


def join(*children: Child) -> Markup:
    """Children as one piece; whatever is not markup is escaped, ``None`` is nothing."""
    return Markup("".join(_written(child) for child in children))


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element. In names of attributes ``_`` stands for ``-``, and a last one is left out; ``None`` is no attribute."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(clean(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return html.escape(clean(child))
    return join(*child)
