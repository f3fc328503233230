"""The states of services and versions on the plane: the tables of ``plane/lifecycle.py`` as a page and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from html import escape
from typing import Any, Final, NamedTuple

from anyservice_core.plane import capacity, in_place, lifecycle, rolling
from pages.words import GENERATED, prose, table

__all__ = ["page", "picture"]

Table = Mapping[StrEnum, Mapping[StrEnum, StrEnum]]
_TABLES: Final[Mapping[str, Any]] = {"A service": lifecycle.SERVICE, "A version": lifecycle.VERSION}
_ROOMS: Final = {
    "How a rollout goes on": rolling,
    "How much of a version runs meanwhile": capacity,
    "How new code comes without a new version": in_place,
}
_WIDTH, _LEFT, _RIGHT, _BOX, _HIGH, _STEP = 1000, 40, 560, 190, 40, 62
_COLOURS: Final = {
    "RUNNING": "#15803d",
    "UNHEALTHY": "#b45309",
    "SYSTEM_FAILURE": "#b91c1c",
    "ROLLING_BACK": "#b45309",
    "TERMINATED": "#64748b",
    "TERMINATING": "#64748b",
}


class Move(NamedTuple):
    """All events that lead from one state, or from each state of the group, to another."""

    start: str
    end: str
    events: str


class Graph(NamedTuple):
    """A table as it is drawn: the states that share a row are one group, the others stand alone."""

    group: list[str]
    alone: list[str]
    moves: list[Move]


_GROUP: Final = "any of these"


def graph(states: Table) -> Graph:
    """Find the largest set of states from which the same events lead to the same states."""
    rows = {str(state): {str(e): str(to) for e, to in row.items()} for state, row in states.items()}
    group = max(([s for s in rows if rows[s] == row] for row in rows.values()), key=len)
    alone = [state for state in rows if state not in group]
    origins = {_GROUP: rows[group[0]], **{state: rows[state] for state in alone}}
    moves = [
        Move(start, end, ", ".join(event for event, to in row.items() if to == end))
        for start, row in origins.items()
        for end in dict.fromkeys(row.values())
    ]
    return Graph(group, alone, moves)


# ── the page ────────────────────────────────────────────────────────────────


def page() -> str:
    """The page as Markdown."""
    before, after = _around(lifecycle.__doc__ or "")
    return "\n".join(
        [
            GENERATED,
            "# What states a service goes through\n",
            f"{before}\n",
            "![States, and what leads from one to another](../images/lifecycle.svg)\n",
            *(f"## {title}\n\n{_rows(states)}" for title, states in _TABLES.items()),
            "What is not in a table is refused.\n",
            f"{after}\n",
            *(f"## {title}\n\n{_text(module)}\n" for title, module in _ROOMS.items()),
        ]
    )


def _around(text: str) -> tuple[str, str]:
    """The prose of the module, without its drawings, which the picture replaces."""
    parts = [part for part in prose(text.split("\n", 1)[1]).split("\n\n") if not part.startswith("```")]
    told = [part for part in parts if not part.rstrip().endswith(":")]
    return told[0], "\n\n".join(told[1:])


def _text(module: Any) -> str:
    return prose(module.__doc__).replace("```python", "```text")


def _rows(states: Table) -> str:
    drawn = graph(states)
    names = {_GROUP: ", ".join(f"`{state}`" for state in drawn.group)}
    rows = [
        (names.get(start, f"`{start}`"), events, f"`{end}`" + (" (stays)" if start == end else ""))
        for start, end, events in drawn.moves
    ]
    return table(["from", "when", "to"], rows)


# ── the picture ─────────────────────────────────────────────────────────────


def picture() -> str:
    """Both tables as one SVG."""
    body: list[str] = []
    y = 20
    for title, states in _TABLES.items():
        drawn = graph(states)
        body.append(f'<text class="head" x="20" y="{y + 16}">{title}</text>')
        body.extend(_draw(drawn, y + 50))
        y += 90 + _STEP * max(len(drawn.group), len(drawn.alone))
    return _SVG.format(width=_WIDTH, height=y, style=_STYLE, body="\n".join(body))


def _draw(drawn: Graph, top: int) -> Iterator[str]:
    middles = {s: top + _STEP * i + _HIGH // 2 for i, s in enumerate(drawn.group)}
    middles |= {s: top + _STEP * i + _HIGH // 2 for i, s in enumerate(drawn.alone)}
    tall = _STEP * len(drawn.group) - _STEP + _HIGH + 24
    yield f'<rect class="group" x="{_LEFT - 16}" y="{top - 12}" width="{_BOX + 32}" height="{tall}" rx="8"/>'
    for state in drawn.group:
        events = next((move.events for move in drawn.moves if move[:2] == (_GROUP, state)), "")
        yield from _box(_LEFT, middles[state], state, f"when {events}" if events else "")
    for state in drawn.alone:
        stays = next((move.events for move in drawn.moves if move[:2] == (state, state)), "")
        yield from _box(_RIGHT, middles[state], state, f"{stays}: stays" if stays else "")
    yield from _across(drawn, middles)
    yield from _beside(drawn, middles)


def _box(x: int, middle: int, state: str, note: str) -> Iterator[str]:
    colour, y = _COLOURS.get(state, "#1d4ed8"), middle - _HIGH // 2
    yield f'<rect class="state" x="{x}" y="{y}" width="{_BOX}" height="{_HIGH}" rx="4"/>'
    yield f'<rect x="{x}" y="{y}" width="6" height="{_HIGH}" fill="{colour}"/>'
    yield f'<text class="name" x="{x + 16}" y="{middle - 1 if note else middle + 5}">{state}</text>'
    if note:
        yield f'<text class="small" x="{x + 16}" y="{middle + 14}">{escape(note)}</text>'


def _across(drawn: Graph, middles: Mapping[str, int]) -> Iterator[str]:
    """Arrows between the group and those that stand alone, each with a place of its own at both ends."""
    for state in drawn.alone:
        found = [m for m in drawn.moves if _leaves(m, drawn, state) or (m.start == _GROUP and m.end == state)]
        for number, move in enumerate(found):
            at = middles[state] + round((number - (len(found) - 1) / 2) * 14)
            if move.start == _GROUP:
                yield _arrow(_LEFT + _BOX + 16, at, _RIGHT - 4, at, f"{move.events} ►")
            else:
                yield _arrow(_RIGHT, at, _LEFT + _BOX + 3, middles[move.end], f"◄ {move.events}")


def _leaves(move: Move, drawn: Graph, state: str) -> bool:
    return move.start == state and move.end in drawn.group


def _beside(drawn: Graph, middles: Mapping[str, int]) -> Iterator[str]:
    """Arrows among those that stand alone, each in a lane of its own to their right."""
    found = [m for m in drawn.moves if {m.start, m.end} <= {*drawn.alone} and m.start != m.end]
    found.sort(key=lambda move: abs(middles[move.end] - middles[move.start]))
    ends = {state: [m for m in found if state in {m.start, m.end}] for state in drawn.alone}

    def at(state: str, move: Move) -> int:
        return middles[state] + round((ends[state].index(move) - (len(ends[state]) - 1) / 2) * 13)

    x = _RIGHT + _BOX
    for number, move in enumerate(found):
        start, end, lane = at(move.start, move), at(move.end, move), x + 84 + 18 * number
        yield f'<path class="arrow" d="M{x} {start}H{lane}V{end}H{x + 4}" marker-end="url(#to)"/>'
        yield f'<text class="small halo" x="{x + 12}" y="{start + 4}">{escape(move.events)}</text>'


def _arrow(x1: int, y1: int, x2: int, y2: int, label: str) -> str:
    middle = (x1 + x2) // 2
    near = x2 - 12 if x2 > x1 else x1 - 12
    y = y2 if x2 > x1 else y1
    return (
        f'<path class="arrow" d="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}" marker-end="url(#to)"/>'
        f'<text class="small halo" text-anchor="end" x="{near}" y="{y + 4}">{escape(label)}</text>'
    )


_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#0f172a}.head{font-weight:700;font-size:16px}"
    ".name{font-weight:600}.small{font-size:11px}.state{fill:#f1f5f9;stroke:#cbd5e1}"
    ".group{fill:none;stroke:#94a3b8;stroke-dasharray:5 4}.arrow{stroke:#64748b;fill:none;stroke-width:1.4}"
    ".paper{fill:#fff}.halo{paint-order:stroke;stroke:#fff;stroke-width:5px}"
    "@media(prefers-color-scheme:dark){text{fill:#e2e8f0}.state{fill:#1e293b;stroke:#475569}"
    ".paper{fill:#0f172a}.halo{stroke:#0f172a}}"
)
_SVG: Final = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-labelledby="title"><title id="title">The states of services and versions, and what leads from one to \
another</title><style>{style}</style>
<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>
<rect class="paper" width="{width}" height="{height}"/>
{body}
</svg>
"""
