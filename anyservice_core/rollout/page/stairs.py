"""The weight over time: stairs, and above them what happened, by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.facts import clock
from anyservice_core.rollout.history import History, Span
from anyservice_core.rollout.page.chart import (
    TOP,
    Place,
    Range,
    box,
    curve,
    figure,
    frame,
    gridline,
    label,
    upright,
)
from anyservice_core.rollout.page.markup import Markup, join, tag
from anyservice_core.rollout.page.scale import Scale

__all__ = ["stairs"]

_LANE = 20.0
_HEIGHT = 150.0
_APART = 5.5  # percent between two numbers that do not cover each other, on a phone
_NARROW = 5.0


def stairs(known: History, scale: Scale) -> Markup:
    """The canary's share of the traffic; below it when it baked and was held, above it what happened."""
    lanes = _lanes(known.signs, scale)
    top = TOP + _LANE * (1 + max((lane for _, lane in lanes), default=-1))
    up = Range(0, 100, top, top + _HEIGHT)
    line, strip = list(_line(known, scale, up)), up.bottom + 4
    path = ", ".join(f"{weight} % from {clock(at)}" for at, weight in known.weights)
    return figure(
        ("weight", "The canary's share of the traffic over time", f"In UTC: {path}."),
        strip + 8,
        (gridline(up, value, f"{value:g} %") for value in (0, 50, 100)),
        curve("area", line, up.bottom, filled=True),
        (_stretch("held-on", held, scale, top, up.bottom) for held in known.held),
        curve("canary", line, up.bottom),
        (_weight(step, scale, up) for step in known.steps),
        (_thread(sign, lane, scale, up) for sign, lane in lanes),
        (_number(number, *sign, scale) for number, sign in enumerate(lanes, start=1)),
        (_stretch("bake", bake, scale, strip, strip + 8) for bake in known.bakes),
        (_stretch("held", held, scale, strip, strip + 8) for held in known.held),
        frame(scale, (), top, up.bottom, axis=strip + 8),
    )


def _line(known: History, scale: Scale, up: Range) -> Iterator[Place]:
    before = 0.0
    for at, percent in known.weights:
        yield scale.x(at), up.y(before)
        yield scale.x(at), up.y(percent)
        before = percent
    yield 100.0, up.y(before)


def _stretch(kind: str, span: Span, scale: Scale, top: float, bottom: float) -> Markup:
    return box(kind, (scale.x(span.start), scale.x(span.end)), (top, bottom), span.what)


def _weight(step: Span, scale: Scale, up: Range) -> Markup | None:
    left = scale.x(step.start)
    if scale.x(step.end) - left < _NARROW:
        return None
    return label(left, up.y(step.weight) - 5, f"{step.weight} %", "in", dx=3)


# ── what happened ───────────────────────────────────────────────────────────


def _lanes(signs: Sequence[Event], scale: Scale) -> list[tuple[Event, int]]:
    """Each sign with the lowest lane in which it does not cover another."""
    last: list[float] = []
    placed = []
    for sign in signs:
        x = scale.x(sign.at)
        lane = next((number for number, taken in enumerate(last) if x - taken >= _APART), len(last))
        last[lane : lane + 1] = [x]
        placed.append((sign, lane))
    return placed


def _middle(lane: int) -> float:
    return 10.0 + _LANE * lane


def _thread(sign: Event, lane: int, scale: Scale, up: Range) -> Markup:
    return upright(f"sign {_mood(sign)}", scale.x(sign.at), _middle(lane) + 8, up.bottom)


def _number(number: int, sign: Event, lane: int, scale: Scale) -> Markup:
    x, y, mood = scale.x(sign.at), _middle(lane), _mood(sign)
    tip = tag("title", f"{clock(sign.at)} {sign.message}")
    disc = tag("circle", tip, cx=f"{x:g}%", cy=f"{y:g}", r="8", class_=f"disc {mood}")
    return join(disc, label(x, y + 4, str(number), f"number {mood}", anchor="middle"))


def _mood(sign: Event) -> str:
    if sign.kind is Kind.FINISHED:
        outcome = str(sign.data.get("outcome", ""))
        return {"succeeded": "good", "rolled_back": "bad", "failed": "bad"}.get(outcome, "warn")
    return {Kind.ROLLING_BACK: "bad", Kind.PROMOTING: "good", Kind.TROUBLE: "warn"}.get(sign.kind, "none")
