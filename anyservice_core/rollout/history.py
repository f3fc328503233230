"""What a rollout's events tell, put in order for whoever draws or lists it.

Events may come from several runs of one rollout, from a file with gaps, or not at all: what they do not tell is taken
from the report, and what neither knows is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.journal import END
from anyservice_core.rollout.report import Outcome, Phase, RolloutReport

__all__ = ["History", "Measured", "Span", "history", "plain"]

_MOVES: Final = frozenset({Kind.SHIFTING, Kind.PROMOTING, Kind.ROLLING_BACK, Kind.FINISHED})
_SIGNS: Final = frozenset({Kind.ADOPTED, Kind.ORDERED, Kind.TROUBLE, *_MOVES} - {Kind.SHIFTING})
_EARLY_S: Final = 1.0  # the first event and the start of the report are told by two looks at the clock


class Span(NamedTuple):
    """A stretch of time, in seconds since the epoch: what it was, and the canary's weight where that is one."""

    start: float
    end: float
    what: str = ""
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of one metric, and the verdict so far.

    ``step`` counts the weights that were held, since all begins anew at each; ``began`` is when this one did.
    ``trouble`` says that nothing could be measured.
    """

    at: float
    began: float
    step: int
    weight: int
    phase: Phase
    message: str
    numbers: Mapping[str, float]
    trouble: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """A rollout in time. ``weights`` are when each weight was first seen; ``signs`` what is worth a mark.

    ``held`` is when a gate held it, ``away`` when nobody watched, between two runs of it.
    """

    start: float
    end: float
    events: Sequence[Event] = ()
    weights: Sequence[tuple[float, int]] = ()
    bakes: Sequence[Span] = ()
    held: Sequence[Span] = ()
    away: Sequence[Span] = ()
    signs: Sequence[Event] = ()
    metrics: Mapping[str, Sequence[Measured]] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> Sequence[Span]:
        """From when each weight was seen to when the next was, or to the end."""
        ends = [span.start for span in self.bakes[1:]] + [self.end]
        return [span._replace(end=end) for span, end in zip(self.bakes, ends, strict=False)]

    def metric(self, name: str) -> Mapping[str, Any]:
        """What the plan says of a metric, as plain values."""
        metrics = self.plan.get("metrics", ())
        found = (one for one in metrics if isinstance(one, Mapping) and one.get("name") == name)
        return next(found, {})


def history(report: RolloutReport, events: Iterable[Event | Mapping[str, Any]] = ()) -> History:
    """All that is known of the rollout that ended with ``report``."""
    told = sorted(_about(report, events), key=lambda event: event.at)
    start = min([report.started_at, *(event.at for event in told)])
    end = max([report.ended_at, *(event.at for event in told)])
    bakes = list(_bakes(report, told, end))
    return History(
        start=start,
        end=end,
        events=told,
        weights=list(_weights(report, told, start)),
        bakes=bakes,
        held=list(_held(told, end)),
        away=[Span(a.at, b.at) for a, b in pairwise(told) if b.kind is Kind.STARTED],
        signs=list(_signs(told)),
        metrics=_metrics(told, [span.start for span in bakes]),
        plan=next((plan for event in reversed(told) if (plan := _plan(event))), {}),
    )


def plain(value: object) -> float | None:
    """A number that can be drawn, or ``None``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _about(report: RolloutReport, events: Iterable[Event | Mapping[str, Any]]) -> Iterator[Event]:
    for one in events:
        event = one if isinstance(one, Event) else _event(one)
        if event is None or event.version != report.version_name:
            continue
        if event.at >= report.started_at - _EARLY_S:
            yield event


def _event(values: Mapping[str, Any]) -> Event | None:
    """The event that these values are; ``None`` for one that a newer version wrote, or a crash cut short."""
    try:
        event = Event.from_dict(values)
    except (KeyError, TypeError, ValueError):
        return None
    if plain(event.at) is None or not isinstance(event.data, Mapping):
        return None
    return event if event.weight is None or plain(event.weight) is not None else None


def _plan(event: Event) -> Mapping[str, Any]:
    plan = event.data.get("plan") if event.kind is Kind.STARTED else None
    return plan if isinstance(plan, Mapping) else {}


def _weights(report: RolloutReport, told: Sequence[Event], start: float) -> Iterator[tuple[float, int]]:
    seen = [(event.at, int(event.weight or 0)) for event in told] or list(_reported(report))
    yield start, 0
    last = 0
    for at, weight in seen:
        if weight != last:
            yield at, weight
            last = weight


def _reported(report: RolloutReport) -> Iterator[tuple[float, int]]:
    """The weights as far as the report alone knows them."""
    yield from ((step.seen_at, step.weight) for step in report.steps)
    ends = {Outcome.SUCCEEDED: 100, Outcome.NO_CHANGE: 100, Outcome.ROLLED_BACK: 0}
    if report.outcome in ends:
        yield report.ended_at, ends[report.outcome]


def _bakes(report: RolloutReport, told: Sequence[Event], end: float) -> Iterator[Span]:
    begun = [event for event in told if event.kind is Kind.BAKING]
    if not begun:
        for step in report.steps:
            baked = min(step.seen_at + step.baked_s, end)
            yield Span(step.seen_at, baked, f"{step.weight} %", step.weight)
    for event in begun:
        moved = next((e.at for e in told if e.at > event.at and e.kind in {*_MOVES, Kind.BAKING}), end)
        bake = plain(event.data.get("bake_s")) or 0.0
        weight = int(event.weight or 0)
        yield Span(event.at, min(event.at + bake, moved), f"{weight} %", weight)


def _held(told: Sequence[Event], end: float) -> Iterator[Span]:
    """From when a gate was reached to the next move, or to another wait."""
    since: Event | None = None
    for event in told:
        if event.kind not in {Kind.WAITING, Kind.DEPLOYING, *_MOVES}:
            continue
        if since is not None:
            yield Span(since.at, event.at, since.message)
        since = event if _is_held(event) else None
    if since is not None:
        yield Span(since.at, end, since.message)


def _is_held(event: Event) -> bool:
    """Whether a gate holds it; at the end of a part nobody does, the next one only has to begin."""
    return event.kind is Kind.WAITING and event.data.get("gate") not in {None, "", END}


def _signs(told: Sequence[Event]) -> Iterator[Event]:
    """Of troubles in a row, the first."""
    before: Kind | None = None
    for event in told:
        if (event.kind in _SIGNS or _is_held(event)) and not event.kind is before is Kind.TROUBLE:
            yield event
        before = event.kind if event.kind is not Kind.MEASURED else before


def _metrics(told: Sequence[Event], begun: Sequence[float]) -> Mapping[str, Sequence[Measured]]:
    found: dict[str, list[Measured]] = {}
    for event in told:
        name, phase = event.data.get("metric"), event.data.get("phase")
        if event.kind is not Kind.MEASURED or not name or phase not in set(Phase):
            continue
        points = found.setdefault(str(name), [])
        step = sum(at <= event.at for at in begun)
        began = begun[step - 1] if step else points[0].at if points else event.at
        points.append(_measured(event, Phase(phase), began, step))
    return found


def _measured(event: Event, phase: Phase, began: float, step: int) -> Measured:
    numbers = event.data.get("numbers")
    known = numbers.items() if isinstance(numbers, Mapping) else ()
    return Measured(
        at=event.at,
        began=began,
        step=step,
        weight=int(event.weight or 0),
        phase=phase,
        message=event.message.removeprefix(f"{event.data.get('metric')}: "),
        numbers={str(name): value for name, given in known if (value := plain(given)) is not None},
        trouble="errors_in_row" in (numbers if isinstance(numbers, Mapping) else ()),
    )
