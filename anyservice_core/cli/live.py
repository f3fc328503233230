"""A rollout as people see it: pure, from a view of it to lines of text.

    recommender  r-3f2a9c81de  12m34s
    traffic  ░░░░░░░░░░░░░░░░░░░░░░████████  primary 75 %  canary 25 %
    steps    5 % ✓ → [25 %] → 50 % → all
    bake     ██████████████████░░░░░░░░░░░░  18m12s of 30m, 11m48s left
    metrics  ✓ service  healthy: passed 109 of 109 measurements
             · errors   canary 3 of 1204 bad, primary 9 of 3611 bad
                        fine ██████░░ 8.1 of 20   worse ░░░░░░░░ 0.9 of 80
    now      the step at 25 % waits for an approval (7h58m left)
             anyservice rollout approve recommender

Bars of evidence are logarithmic, as evidence is: half a bar is halfway in measurements.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from math import log
from typing import Final, NamedTuple

import click

from anyservice_core.cli.text import columns_of, plain
from anyservice_core.cli.view import View
from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.gates import PAUSED
from anyservice_core.rollout.report import Finding, Phase

__all__ = ["ASCII", "UNICODE", "Glyphs", "lines"]


class Glyphs(NamedTuple):
    """What bars and marks are made of."""

    full: str
    rest: str
    done: str
    then: str
    more: str
    marks: Mapping[Phase, str]


UNICODE: Final = Glyphs(
    *("█", "░", "✓", "→", "…"),
    {Phase.SUCCESSFUL: "✓", Phase.INCONCLUSIVE: "·", Phase.ERROR: "!", Phase.FAILED: "✗"},
)
ASCII: Final = Glyphs(
    *("#", ".", "ok", "->", "~"),
    {Phase.SUCCESSFUL: "+", Phase.INCONCLUSIVE: ".", Phase.ERROR: "!", Phase.FAILED: "x"},
)
_COLORS: Final = {
    Phase.SUCCESSFUL: "green",
    Phase.INCONCLUSIVE: "yellow",
    Phase.ERROR: "magenta",
    Phase.FAILED: "red",
}
_BAR: Final = 30
_SMALL_BAR: Final = 8
_PROSE: Final = 66  # no wider, so that a terminal that is made narrower has little to wrap
_MARGIN: Final = 9


def lines(view: View, columns: int = 80, glyphs: Glyphs = UNICODE) -> list[str]:
    """The view in lines that may be too long for the terminal, and hold colours."""
    room = max(columns - _MARGIN, 30)
    shown = [_head(view)] if view.service else []
    parts = {
        "traffic": _traffic(view, room, glyphs),
        "steps": _steps(view, room, glyphs),
        "bake": _bake(view, room, glyphs),
        "metrics": _metrics(view.findings, glyphs),
        "now": _now(view, min(room - 1, _PROSE)),
    }
    for name, part in parts.items():
        shown += [
            f"{click.style(label.ljust(_MARGIN), dim=True)}{line}" for label, line in _labelled(name, part)
        ]
    return shown


def _labelled(name: str, part: Iterator[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(part):
        yield ("" if number else name), line


def _head(view: View) -> str:
    passed = _seconds(view.now - view.started_at) if view.started_at is not None else ""
    return f"{click.style(plain(view.service), bold=True)}  {plain(view.version)}  {passed}".rstrip()


def _traffic(view: View, room: int, glyphs: Glyphs) -> Iterator[str]:
    if view.weight is None:
        return
    words = f"primary {100 - view.weight} %  canary {view.weight} %"
    bar = min(_BAR, room - len(words) - 2)
    canary = _share(view.weight / 100, bar)
    drawn = glyphs.rest * (bar - canary) + click.style(glyphs.full * canary, fg="cyan")
    yield f"{drawn}  {words}"


def _share(share: float, bar: int) -> int:
    """How much of a bar; neither empty nor full unless it is."""
    filled = round(share * bar)
    return min(max(filled, int(share > 0)), bar - int(share < 1))


def _steps(view: View, room: int, glyphs: Glyphs) -> Iterator[str]:
    if view.plan is None:
        return
    at = view.step if view.weight is not None else None
    rungs = [*(_rung(weight, at, glyphs) for weight in view.plan.weights), "all"]
    passed = sum(1 for weight in view.plan.weights if at is not None and weight < at)
    yield _around(rungs, min(passed, len(rungs) - 1), room, glyphs)


def _around(rungs: Sequence[str], here: int, room: int, glyphs: Glyphs) -> str:
    """As many of them as there is room for, on both sides of where it is."""
    first, last = here, here + 1
    shown = _joined(rungs, first, last, glyphs)
    while last - first < len(rungs):
        ahead = last < len(rungs) and (first == 0 or last - here <= here - first)
        wider = (first, last + 1) if ahead else (max(first - 1, 0), last + (first == 0))
        longer = _joined(rungs, *wider, glyphs)
        if columns_of(click.unstyle(longer)) > room:
            break
        (first, last), shown = wider, longer
    return shown


def _joined(rungs: Sequence[str], first: int, last: int, glyphs: Glyphs) -> str:
    before, after = [glyphs.more] if first else [], [glyphs.more] if last < len(rungs) else []
    return f" {glyphs.then} ".join([*before, *rungs[first:last], *after])


def _rung(weight: int, at: int | None, glyphs: Glyphs) -> str:
    if at is None or weight > at:
        return f"{weight} %"
    return click.style(f"[{weight} %]", bold=True) if weight == at else f"{weight} % {glyphs.done}"


def _bake(view: View, room: int, glyphs: Glyphs) -> Iterator[str]:
    whole = view.bake_s
    if not whole or view.weight is None:
        return
    baked = min(view.baked_now_s // 1, whole)
    words = f"{_seconds(baked)} of {format_duration(whole)}"
    words += f", {_seconds(whole - baked)} left" if baked < whole else ", done"
    bar = min(_BAR, room - len(words) - 2)
    filled = _share(baked / whole, bar)
    yield f"{click.style(glyphs.full * filled, fg='green')}{glyphs.rest * (bar - filled)}  {words}"


def _seconds(span: float) -> str:
    """To the second below an hour, so that a clock is seen to move."""
    return format_duration(max(int(span), 0))


def _metrics(findings: Sequence[Finding], glyphs: Glyphs) -> Iterator[str]:
    widest = max((columns_of(plain(finding.metric)) for finding in findings), default=0)
    for finding in findings:
        mark = click.style(glyphs.marks[finding.phase], fg=_COLORS[finding.phase])
        name = plain(finding.metric)
        dry = " (dry run)" if finding.dry_run else ""
        said = _counts(finding.numbers) if _is_weighed(finding) else plain(finding.message)
        yield f"{mark} {name}{' ' * (widest - columns_of(name))}  {said}{dry}"
        more = [_evidence(finding.numbers, glyphs)] if _is_weighed(finding) else []
        more += [plain(finding.message)] if finding.common_mode else []
        yield from (f"{' ' * (widest + 4)}{line}" for line in more)


def _is_weighed(finding: Finding) -> bool:
    """Whether it is a comparison that has counted something, and does not have other troubles to tell."""
    return "evidence" in finding.numbers and finding.phase is not Phase.ERROR


def _counts(numbers: Mapping[str, float]) -> str:
    canary, primary = (
        f"{side} {numbers[f'{side}_bad']:.0f} of {numbers[f'{side}_requests']:.0f} bad"
        for side in ("canary", "primary")
    )
    return f"{canary}, {primary}"


def _evidence(numbers: Mapping[str, float], glyphs: Glyphs) -> str:
    fine = _towards(numbers["evidence_fine"], numbers["needed_fine"], glyphs, "green")
    worse = _towards(numbers["evidence"], numbers["needed"], glyphs, "red")
    return f"fine {fine}   worse {worse}"


def _towards(seen: float, needed: float, glyphs: Glyphs, color: str) -> str:
    share = log(max(seen, 1.0)) / log(needed) if needed > 1 else 1.0
    filled = _share(min(share, 1.0), _SMALL_BAR) if share < 1 else _SMALL_BAR
    bar = click.style(glyphs.full * filled, fg=color) + glyphs.rest * (_SMALL_BAR - filled)
    return f"{bar} {_odds(seen)} of {_odds(needed)}"


def _odds(odds: float) -> str:
    if odds >= 10_000:
        return "10000+"
    return f"{odds:.1f}" if odds < 10 else f"{odds:.0f}"


def _now(view: View, room: int) -> Iterator[str]:
    if view.trouble:
        yield from (click.style(line, fg="yellow") for line in textwrap.wrap(plain(view.trouble), room))
    if view.doing:
        left = f" ({_seconds(view.until - view.now)} left)" if view.until is not None else ""
        yield from textwrap.wrap(f"{plain(view.doing)}{left}", room)
    if command := _opener(view.gate):
        yield click.style(f"anyservice rollout {command} {view.service}{view.flags}", dim=True)


def _opener(gate: str | None) -> str | None:
    """The command that opens a gate; none does for the time of day but one that passes over everything."""
    if gate == PAUSED:
        return "resume"
    return "approve" if gate and not gate.startswith("window:") else None
