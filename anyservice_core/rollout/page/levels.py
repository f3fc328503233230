"""Metrics that bring one number, or only say yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from anyservice_core.rollout.facts import PHASES, clock
from anyservice_core.rollout.history import Measured, plain
from anyservice_core.rollout.page.chart import (
    TOP,
    Range,
    band,
    curve,
    cuts,
    dot,
    figure,
    frame,
    gridline,
    label,
    rule,
)
from anyservice_core.rollout.page.markup import Markup
from anyservice_core.rollout.page.series import Series, by_step, moods

__all__ = ["answers", "levels"]


def levels(series: Series) -> Markup:
    """Each number, with the ranges that are good and bad behind it."""
    points = series.thinned()
    numbers = [value for point in points if (value := point.numbers.get("value")) is not None]
    zones = [zone for mood in ("success", "failure") if (zone := _zone(series.plan, mood)) is not None]
    up = _room([*numbers, *(edge for zone in zones for edge in (zone.low, zone.high) if edge is not None)])
    return figure(
        (series.id, f"{series.name}: the canary's values over time", series.last),
        up.bottom,
        (gridline(up, value, f"{value:.4g}") for value in up.grid()),
        (band(f"band {zone.mood}", *zone.edges(up)) for zone in zones),
        cuts(series.scale, up.top, up.bottom),
        (zone.name(up) for zone in zones),
        (_line(step, series, up) for step in by_step(points)),
        (_dot(point, mood, series, up) for point, mood in zip(points, moods(points), strict=True)),
        frame(series.scale, series.known.steps, up.top, up.bottom),
    )


def _line(step: Sequence[Measured], series: Series, up: Range) -> Markup | None:
    places = [(series.scale.x(p.at), up.y(p.numbers["value"])) for p in step if "value" in p.numbers]
    return curve("canary", places, up.bottom)


def _dot(point: Measured, mood: str, series: Series, up: Range) -> Markup:
    value = point.numbers.get("value")
    y = up.bottom - 6 if value is None else up.y(value)
    what = "no number" if value is None else f"{value:.4g}"
    return dot(mood, (series.scale.x(point.at), y), f"{clock(point.at)}: {what}; {point.message}")


def _room(numbers: Sequence[float]) -> Range:
    """Room for all of them, and a little more, so that a range's edge is not the chart's."""
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    more = 0.15 * (high - low) or 0.1 * abs(high) or 1.0
    return Range(max(low - more, 0.0) if low >= 0 else low - more, high + more, TOP, TOP + 130)


class _Zone(NamedTuple):
    """A range of the plan: ``good`` or ``bad``, from ``low`` to ``high``, where it has such ends."""

    mood: str
    low: float | None
    high: float | None

    def edges(self, up: Range) -> tuple[float, float]:
        top = up.top if self.high is None else up.y(self.high)
        return top, up.bottom if self.low is None else up.y(self.low)

    def name(self, up: Range) -> Markup:
        """What it is, at that edge of it where values may leave it."""
        top, bottom = self.edges(up)
        y = bottom - 6 if self.high is None else top + 14
        return label(100, y, self.text, f"in {self.mood}", anchor="end", dx=-6)

    @property
    def text(self) -> str:
        word = "✓ good" if self.mood == "good" else "✕ bad"
        if self.low is None:
            return f"{word} up to {self.high:g}"
        return f"{word} from {self.low:g}" + (f" to {self.high:g}" if self.high is not None else "")


def _zone(plan: Mapping[str, Any], mood: str) -> _Zone | None:
    given = plan.get(mood)
    bound = given if isinstance(given, Mapping) else {}
    low, high = plain(bound.get("min")), plain(bound.get("max"))
    return None if low is None and high is None else _Zone("good" if mood == "success" else "bad", low, high)


def answers(series: Series) -> Markup:
    """A row of what was said, for metrics that say yes or no."""
    points, y = series.thinned(), TOP + 14
    return figure(
        (series.id, f"{series.name}: what it said over time", series.last),
        y + 14,
        rule("grid", y),
        cuts(series.scale, TOP, y + 14),
        (
            dot(mood, (series.scale.x(p.at), y), f"{clock(p.at)}: {PHASES[p.phase].text}; {p.message}")
            for p, mood in zip(points, moods(points), strict=True)
        ),
        frame(series.scale, series.known.steps, TOP, y + 14),
    )
