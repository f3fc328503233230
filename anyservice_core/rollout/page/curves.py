"""Comparisons: the shares of bad answers of both versions, and the evidence that they are."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Final

from anyservice_core.rollout.history import Measured
from anyservice_core.rollout.page.chart import (
    AXIS,
    TOP,
    Place,
    Range,
    band,
    box,
    curve,
    cuts,
    dot,
    figure,
    frame,
    gridline,
    label,
    nice,
    rule,
)
from anyservice_core.rollout.page.markup import Markup, join
from anyservice_core.rollout.page.series import Series, Window, by_step

__all__ = ["evidence", "rates"]

_SIDES: Final = ("primary", "canary")
_FEW: Final = 60  # with more windows, a dot each would hide the line


def rates(series: Series) -> Markup:
    """The share of bad answers of both versions in each window, and how many requests that was of."""
    windows, scale = list(series.windows()), series.scale
    shares = [share for side in _SIDES for window in windows if (share := window.share(side)) is not None]
    up = Range(0, nice(max([*shares, 0.001])), TOP, TOP + 120)
    below = up.bottom + AXIS + 10
    return figure(
        (series.id, f"{series.name}: the share of bad answers of both versions over time", series.last),
        below + 38,
        (gridline(up, up.high * part, f"{100 * up.high * part:.3g} %") for part in (0, 0.5, 1)),
        cuts(scale, up.top, up.bottom),
        (_lines(side, windows, series, up) for side in _SIDES),
        _dots(windows, series, up) if len(windows) <= _FEW else None,
        frame(scale, series.known.steps, up.top, up.bottom),
        _pace("canary", windows, series, below),
        _pace("primary", windows, series, below + 32),
    )


def _lines(side: str, windows: Sequence[Window], series: Series, up: Range) -> list[Markup | None]:
    """A line for each step."""
    steps: dict[int, list[Place]] = {}
    for window in windows:
        if (share := window.share(side)) is not None:
            place = (series.scale.x(window.point.at), up.y(share))
            steps.setdefault(window.point.step, []).append(place)
    return [curve(side, places, up.bottom) for places in steps.values()]


def _dots(windows: Sequence[Window], series: Series, up: Range) -> list[Markup]:
    """Something to point at, for the numbers."""
    return [
        dot("plain", (series.scale.x(window.point.at), up.y(share)), window.tip)
        for window in windows
        if (share := window.share("canary")) is not None
    ]


def _pace(side: str, windows: Sequence[Window], series: Series, top: float) -> Markup:
    """How much was asked of one side: bars of requests a second, since windows differ in length."""
    most = max((window.pace(side) for window in windows), default=0.0)
    up, x = Range(0, most or 1.0, top, top + 16), series.scale.x
    bars = (
        box(f"bar {side}", (x(w.since), x(w.point.at)), (up.y(w.pace(side)), up.bottom), w.tip)
        for w in windows
    )
    return join(bars, label(0, top + 28, f"{side}: up to {most:.3g} requests a second", "tick"))


# ── evidence ────────────────────────────────────────────────────────────────

_HALF: Final = 84.0
_BAR: Final = 54.0  # from the middle, in pixels: where a verdict falls


def evidence(series: Series) -> Markup:
    """Upwards what speaks for worse, downwards what speaks for fine, each in units of what its verdict needs."""
    points = [point for point in series.thinned() if point.numbers.get("needed", 0.0) > 1.0]
    worse = max((point.numbers["needed"] for point in points), default=0.0)
    fine = max((point.numbers.get("needed_fine", 0.0) for point in points), default=0.0)
    middle, end = TOP + _HALF, TOP + 2 * _HALF
    return figure(
        (
            f"{series.id}-evidence",
            f"{series.name}: evidence that it is worse, and that it is fine",
            series.last,
        ),
        end,
        band("band bad", TOP, middle - _BAR),
        band("band good", middle + _BAR, end),
        cuts(series.scale, TOP, end),
        rule("grid", middle),
        label(0, middle - _BAR - 8, f"✕ failed from {worse:,.0f} to 1", "in bad", dx=6),
        label(0, end - 12, f"✓ passed from {fine:,.0f} to 1", "in good", dx=6),
        label(0, middle + 4, "1 to 1", "tick", anchor="end", dx=-6),
        (_weighed("worse", step, series, middle) for step in by_step(points)),
        (_weighed("fine", step, series, middle) for step in by_step(points)),
        frame(series.scale, series.known.steps, TOP, end),
    )


def _weighed(kind: str, step: Sequence[Measured], series: Series, middle: float) -> Markup | None:
    """One kind of evidence at one step: a line from nothing."""
    way, names = (-1, ("evidence", "needed")) if kind == "worse" else (1, ("evidence_fine", "needed_fine"))
    places = [(series.scale.x(point.at), middle + way * _far(point, *names)) for point in step]
    return curve(kind, [(series.scale.x(step[0].began), middle), *places], middle + _HALF)


def _far(point: Measured, found: str, needed: str) -> float:
    """How far from nothing; below 1 to 1 there is nothing to see."""
    odds, bar = point.numbers.get(found, 1.0), point.numbers.get(needed, 0.0)
    if odds <= 1.0 or bar <= 1.0:
        return 0.0
    return min(_BAR * log(odds) / log(bar), _HALF - 3)
