"""Charts as SVG that is as wide as the page: places across in percent, heights in pixels, letters always of one size.

What cannot be placed by percent (lines of many points) is drawn into an inner drawing that is stretched; its strokes
keep their width. Colours and dashes are classes of ``style.py``, so that one drawing serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.history import Span
from anyservice_core.rollout.page.markup import Child, Markup, join, tag
from anyservice_core.rollout.page.scale import Scale

__all__ = [
    "AXIS",
    "TOP",
    "Place",
    "Range",
    "band",
    "box",
    "curve",
    "cuts",
    "dot",
    "figure",
    "frame",
    "gridline",
    "label",
    "nice",
    "rule",
    "upright",
]

Place: TypeAlias = tuple[float, float]
"""Percent from the left, pixels from the top."""

TOP: Final = 26.0  # above the plot: the names of steps
AXIS: Final = 24.0  # below it: the time of day
_NARROW: Final = 8.0


@dataclass(frozen=True, slots=True)
class Range:
    """Values from ``low`` at the height ``bottom`` to ``high`` at ``top``, in pixels from the upper edge."""

    low: float
    high: float
    top: float
    bottom: float

    def y(self, value: float) -> float:
        """The height of a value; what lies outside is drawn at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1.0)
        return round(self.bottom - share * (self.bottom - self.top), 1)

    def grid(self) -> list[float]:
        """Three to six round values within."""
        every = nice((self.high - self.low) / 5)
        first, last = math.ceil(self.low / every - 1e-9), math.floor(self.high / every + 1e-9)
        return [every * number for number in range(first, last + 1)]


def nice(value: float) -> float:
    """A round number that is not below ``value``: 1, 2, 2.5 or 5 times a power of ten."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((one * power for one in (1, 2, 2.5, 5) if value <= one * power * (1 + 1e-9)), 10 * power)


# ── what charts are made of ─────────────────────────────────────────────────


def figure(named: tuple[str, str, str], bottom: float, *parts: Child) -> Markup:
    """A chart whose time axis is at ``bottom``: its id, which is its own in the page, title and description."""
    id, title, description = named
    return tag(
        "svg",
        tag("title", title, id=f"{id}-title"),
        tag("desc", description, id=f"{id}-desc"),
        *parts,
        class_="chart",
        role="img",
        aria_labelledby=f"{id}-title {id}-desc",
        width="100%",
        height=f"{bottom + AXIS:g}",
    )


def curve(kind: str, places: Sequence[Place], height: float, *, filled: bool = False) -> Markup | None:
    """A line through the places; ``filled`` down to the lower edge."""
    if not places:
        return None
    line = "L".join(f"{10 * x:.1f} {y:g}" for x, y in places)
    ends = f"V{height:g}H{10 * places[0][0]:.1f}Z" if filled else ""
    drawn = tag("path", d=f"M{line}{ends}", class_=kind, vector_effect="non-scaling-stroke")
    view = f"0 0 1000 {height:g}"
    return tag("svg", drawn, width="100%", height=f"{height:g}", viewBox=view, preserveAspectRatio="none")


def box(kind: str, across: tuple[float, float], down: tuple[float, float], tip: str = "") -> Markup:
    """A filled stretch; ``tip`` is shown to those who point at it."""
    (left, right), (top, bottom) = across, down
    size = {"width": f"{max(right - left, 0.0):.2f}%", "height": f"{max(bottom - top, 0.0):g}"}
    return tag("rect", tag("title", tip) if tip else None, class_=kind, x=f"{left:g}%", y=f"{top:g}", **size)


def band(kind: str, top: float, bottom: float) -> Markup:
    """A stretch of values, from edge to edge."""
    return box(kind, (0, 100), (top, bottom))


def rule(kind: str, y: float) -> Markup:
    return tag("line", class_=kind, x1="0", x2="100%", y1=f"{y:g}", y2=f"{y:g}")


def gridline(up: Range, value: float, text: str) -> Markup:
    y = up.y(value)
    return join(rule("grid", y), label(0, y + 4, text, "tick", anchor="end", dx=-6))


def upright(kind: str, x: float, top: float, bottom: float) -> Markup:
    return tag("line", class_=kind, x1=f"{x:g}%", x2=f"{x:g}%", y1=f"{top:g}", y2=f"{bottom:g}")


def label(
    x: float,
    y: float,
    text: str,
    kind: str = "",
    *,
    anchor: Literal["start", "middle", "end"] = "start",
    dx: float = 0,
) -> Markup:
    return tag(
        "text",
        text,
        x=f"{x:g}%",
        y=f"{y:g}",
        dx=f"{dx:g}" if dx else None,
        text_anchor=anchor,
        class_=kind or None,
    )


_SHAPES: Final = {
    "good": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z",
    "bad": "M-4 -4L4 4M4 -4L-4 4",
    "warn": "M0 -4.5L4.5 0L0 4.5L-4.5 0Z",
    "plain": "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0 -4 0Z",
    "none": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0 -6 0Z",
}


def dot(mood: str, at: Place, tip: str) -> Markup:
    """A measurement: a disc for good, a cross for bad, a rhombus for neither, a ring for nothing; a point is plain."""
    x, y = at
    drawn = tag("path", tag("title", tip), d=_SHAPES[mood], class_=f"dot {mood}")
    return tag("svg", drawn, x=f"{x:g}%", y=f"{y:g}", class_="place", width="1", height="1")


def cuts(scale: Scale, top: float, bottom: float) -> Markup:
    """Where time is drawn short; to stand behind what is drawn."""
    return join(
        box("cut", (scale.x(cut.start), scale.x(cut.end)), (top, bottom), "time that is drawn short")
        for cut in scale.cuts
    )


def frame(
    scale: Scale, steps: Sequence[Span], top: float, bottom: float, *, axis: float | None = None
) -> Markup:
    """What all charts share: where each step begins, how long it was where time is drawn short, the time of day."""
    line = bottom if axis is None else axis
    return join(
        (_step(scale, step, top, bottom) for step in steps),
        (_length(scale, cut, bottom) for cut in scale.cuts),
        rule("axis", line),
        (label(x, line + 16, text, "tick", anchor="middle") for x, text in scale.ticks()),
    )


def _step(scale: Scale, step: Span, top: float, bottom: float) -> Markup:
    left, right = scale.x(step.start), scale.x(step.end)
    name = label(left, top - 5, step.what, "tick", dx=2) if right - left >= _NARROW else None
    return join(upright("step", left, top - 12, bottom), name)


def _length(scale: Scale, cut: Span, bottom: float) -> Markup:
    middle = (scale.x(cut.start) + scale.x(cut.end)) / 2
    return label(middle, bottom - 4, f"≈ {format_duration(cut.end - cut.start)}", "tick in", anchor="middle")
