"""The picture of the traffic: time runs to the right, each version takes the height of its share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.style import Style
from rich.text import Text

__all__ = ["bands", "fold", "river"]


def bands(counts: Mapping[str, int], levels: int) -> list[str]:
    """Give the version of each level of a column, from the bottom up.

    Every version that got a request is seen: it has at least one level. The rest goes by largest remainder.
    """
    present = sorted(version for version, n in counts.items() if n > 0)
    if not present:
        return []
    total = sum(counts[version] for version in present)
    exact = {version: counts[version] * levels / total for version in present}
    heights = {version: max(1, int(exact[version])) for version in present}
    while sum(heights.values()) < levels:
        heights[max(present, key=lambda v: exact[v] - heights[v])] += 1
    while sum(heights.values()) > levels:
        heights[max(present, key=lambda v: heights[v] - exact[v] if heights[v] > 1 else -levels)] -= 1
    return [version for version in present for _ in range(heights[version])]


def fold(columns: Sequence[Mapping[str, int]], width: int) -> list[dict[str, int]]:
    """Squeeze the columns into ``width`` of them, neighbours added up, once they are too many."""
    if len(columns) <= width:
        return [dict(counts) for counts in columns]
    folded: list[dict[str, int]] = [{} for _ in range(width)]
    for number, counts in enumerate(columns):
        into = folded[number * width // len(columns)]
        for version, n in counts.items():
            into[version] = into.get(version, 0) + n
    return folded


def river(columns: Sequence[Mapping[str, int]], colours: Mapping[str, str], *, width: int, rows: int) -> Text:
    """Draw the columns with half blocks, two levels to a row of text."""
    stacks = [bands(counts, 2 * rows) for counts in fold(columns, width)]
    text = Text()
    for row in reversed(range(rows)):
        for stack in stacks:
            text.append(*_cell(stack[2 * row : 2 * row + 2], colours))
        text.append("\n" if row else "")
    return text


def _cell(levels: Sequence[str], colours: Mapping[str, str]) -> tuple[str, Style]:
    if not levels:
        return " ", Style()
    lower, upper = colours.get(levels[0], "white"), colours.get(levels[-1], "white")
    return ("█", Style(color=lower)) if lower == upper else ("▄", Style(color=lower, bgcolor=upper))
