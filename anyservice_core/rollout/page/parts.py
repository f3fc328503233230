"""Small pieces of the page that several of its parts need."""

from __future__ import annotations

from anyservice_core.rollout.facts import Word, clock
from anyservice_core.rollout.page.markup import Child, Markup, tag

__all__ = ["badge", "keys", "plot", "section", "time"]


def section(name: str, *parts: Child) -> Markup:
    return tag("section", tag("h2", name), *parts)


def badge(word: Word, size: str = "") -> Markup:
    return tag("span", f"{word.sign} {word.text}", class_=f"badge {word.mood} {size}".strip())


def time(at: float) -> Markup:
    return tag("time", clock(at), datetime=clock(at, "%Y-%m-%dT%H:%M:%SZ"))


def plot(caption: Child, drawing: Markup) -> Markup:
    return tag("figure", tag("figcaption", caption), tag("div", drawing, class_="plot"))


def keys(*named: tuple[str, str]) -> Markup:
    """What the lines and fillings of a chart are."""
    return tag("ul", (tag("li", _key(kind), text) for kind, text in named))


def _key(kind: str) -> Markup:
    if kind in {"bake", "held"}:
        drawn = tag("rect", class_=kind, width="26", height="8", y="1")
    else:
        drawn = tag("path", class_=kind, d="M0 5H26")
    return tag("svg", drawn, class_="key", aria_hidden="true", width="26", height="10")
