"""How a rollout decides: the table at the head of ``rollout/decide.py`` as a page and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

from anyservice_core.rollout import decide, evidence, gates, judge, windows
from pages.words import GENERATED, prose, table

__all__ = ["page", "picture"]

_INDENT: Final = 4
_COLUMN: Final = 53  # where the decisions begin, in the docstring
_ROW, _HEAD, _LEFT, _RIGHT, _WIDTH = 30, 40, 430, 470, 940
# What a decision does to the users' traffic, by the word that it begins with.
_KINDS: Final = {
    "forward": ("deploy", "shift"),
    "back": ("roll",),
    "person": ("pause", "``on", "someone"),
    "end": ("done", "give", "superseded", "rolled"),
}
_COLOURS: Final = {
    "wait": "#64748b",
    "forward": "#15803d",
    "back": "#b91c1c",
    "person": "#b45309",
    "end": "#1d4ed8",
}
_LEGEND: Final = {
    "wait": "look again later",
    "forward": "move forward",
    "back": "take it back",
    "person": "call a person, or do what the plan says",
    "end": "it is over",
}


_ROOMS: Final = {
    "What the metrics say": judge,
    "What evidence is": evidence,
    "What may hold it although all is well": gates,
    "Times of day": windows,
}


class Section(NamedTuple):
    """Rules that share a sight of the service."""

    title: str
    rules: list[tuple[str, str]]


def sections() -> list[Section]:
    """The table, read off the docstring."""
    found: list[Section] = []
    for line in _table():
        condition, decision = line[_INDENT:_COLUMN].strip(), line[_COLUMN:].strip()
        if condition.startswith("─"):
            continue
        if decision and decision != "decision":
            found[-1].rules.append((condition, decision))
        else:
            found.append(Section(condition, []))
    return found


def _table() -> Iterator[str]:
    for line in (decide.__doc__ or "").splitlines():
        if line.startswith(" " * _INDENT) and line.strip():
            yield line


def kind(decision: str) -> str:
    """What the decision does, as a colour has it."""
    first = decision.split(maxsplit=1)[0].strip(":;,()")
    return next((name for name, words in _KINDS.items() if first.startswith(words)), "wait")


# ── the page ────────────────────────────────────────────────────────────────


def page() -> str:
    """The page as Markdown."""
    before, after = _around(decide.__doc__ or "")
    return "\n".join(
        [
            GENERATED,
            "# How a rollout decides\n",
            f"{prose(before)}\n",
            "![The rules, from top to bottom](../images/decisions.svg)\n",
            *_tables(),
            "(*) Unless a gate holds it.\n",
            f"{prose(after)}\n",
            *(f"## {title}\n\n{prose(module.__doc__)}\n" for title, module in _ROOMS.items()),
        ]
    )


def _around(text: str) -> tuple[str, str]:
    """What stands before the table, and behind it."""
    rows = [line for line in text.splitlines() if line.startswith(" " * _INDENT) and line.strip()]
    before, rest = text.split(rows[0], 1)
    return before.split("\n", 1)[-1], rest.split("holds it.", 1)[-1]


def _tables() -> Iterator[str]:
    for section in sections():
        rows = [(_code(condition), _code(decision)) for condition, decision in section.rules]
        yield f"**{section.title.capitalize()}**\n\n{table(['what is seen', 'what is done'], rows)}"


def _code(text: str) -> str:
    return text.replace("``", "`")


# ── the picture ─────────────────────────────────────────────────────────────


def picture() -> str:
    """The rules as an SVG: down as long as the answer is no, to the right when it is yes."""
    body: list[str] = []
    y = 20
    for section in sections():
        body.append(f'<text class="head" x="20" y="{y + 20}">{escape(section.title.capitalize())}</text>')
        y += _HEAD
        for condition, decision in section.rules:
            body.extend(_rule(y, condition, decision))
            y += _ROW
        y += 10
    body.extend(_legend(y))
    return _SVG.format(width=_WIDTH, height=y + 40, style=_STYLE, body="\n".join(body))


def _rule(y: int, condition: str, decision: str) -> Iterator[str]:
    colour, middle = _COLOURS[kind(decision)], y + _ROW // 2
    yield f'<rect class="rule" x="20" y="{y + 3}" width="{_LEFT - 20}" height="{_ROW - 6}" rx="4"/>'
    yield f'<text x="30" y="{middle + 4}">{_plain(condition)}</text>'
    yield f'<path class="arrow" d="M{_LEFT} {middle}H{_RIGHT - 3}" marker-end="url(#to)"/>'
    yield f'<path class="arrow" d="M40 {y + _ROW - 3}v6"/>'
    yield f'<rect x="{_RIGHT}" y="{y + 3}" width="6" height="{_ROW - 6}" fill="{colour}"/>'
    yield f'<text x="{_RIGHT + 14}" y="{middle + 4}">{_plain(decision)}</text>'


def _legend(y: int) -> Iterator[str]:
    x = 20
    for name, says in _LEGEND.items():
        yield f'<rect x="{x}" y="{y + 8}" width="12" height="12" fill="{_COLOURS[name]}"/>'
        yield f'<text class="small" x="{x + 18}" y="{y + 18}">{says}</text>'
        x += 40 + 7 * len(says)


def _plain(text: str) -> str:
    return escape(text.replace("``", ""))


_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#0f172a}.head{font-weight:700;font-size:15px}"
    ".small{font-size:11px}.rule{fill:#f1f5f9;stroke:#cbd5e1}.arrow{stroke:#64748b;fill:none;stroke-width:1.5}"
    ".paper{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#e2e8f0}.rule{fill:#1e293b;stroke:#475569}"
    ".paper{fill:#0f172a}}"
)
_SVG: Final = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-labelledby="title"><title id="title">The rules that decide a rollout, in order</title><style>{style}</style>
<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>
<rect class="paper" width="{width}" height="{height}"/>
{body}
</svg>
"""
