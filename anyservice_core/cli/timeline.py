"""``anyservice rollout plan``."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import manners, with_output

if TYPE_CHECKING:
    from anyservice_core.rollout.forecast import Expected
    from anyservice_core.rollout.metric import Metric
    from anyservice_core.rollout.plan import Approval, RolloutPlan, Step

    _Kind = click.ParamType[Any]
else:
    _Kind = click.ParamType

__all__ = ["plan"]

_TIMES: Final = (2.0, 5.0)  # how many times the tolerated ratio, of the canaries that a forecast is about


class _Rate(_Kind):
    """So many a second, minute or hour, given on as so many a second."""

    name = "rate"
    _FORM: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)", re.IGNORECASE)
    _SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = self._FORM.fullmatch(str(value).strip())
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is not a rate: write 1200/m, 20/s or 500/h.", param, ctx)
        return float(found[1]) / self._SECONDS[found[2].lower()]


class _Share(_Kind):
    """A percentage below 100, given on as a share of one."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            share = float(str(value).removesuffix("%")) / 100
        except ValueError:
            share = -1.0
        if not 0 <= share < 1:
            self.fail(f"{value!r} is not a percentage from 0 to below 100.", param, ctx)
        return share


class _Span(_Kind):
    """A duration, given on in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from anyservice_core.rollout.duration import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


@click.command(cls=Command)
@click.argument("file", type=click.Path())
@click.option(
    "--limit",
    type=_Span(),
    default="120m",
    show_default=True,
    help="What the platform allows a rollout to take.",
)
@click.option(
    "--traffic",
    type=_Rate(),
    metavar="RATE",
    help="Requests that are expected, as 1200/m: can comparisons decide in time?",
)
@click.option(
    "--error-rate",
    type=_Share(),
    default="0.5",
    show_default=True,
    help="With --traffic: the percentage of them that fails usually.",
)
@with_output("text", "json", "yaml")
def plan(file: str, *, limit: float, traffic: float | None, error_rate: float) -> None:
    r"""Check a plan, and show it as a timeline. Nothing is sent.

    With --traffic each comparison is tried on the requests that are expected: how long until a canary that is fine has
    passed, and until one that is worse is found. What deserves a second thought goes to stderr as a warning.

    \b
      anyservice rollout plan rollout.yaml
      anyservice rollout plan rollout.yaml --traffic 1200/m --error-rate 0.2%
    """
    from anyservice_core.cli import render
    from anyservice_core.rollout.forecast import Expected
    from anyservice_core.rollout.lints import lint
    from anyservice_core.rollout.plan import RolloutPlan

    steps = RolloutPlan.from_yaml(file)
    expected = Expected(traffic, error_rate) if traffic else None
    now = time.time()
    warnings = lint(steps, limit_s=limit, at=now, expected=expected)
    if manners().output != "text":
        render.show(_fields(steps, expected, now, warnings))
        return
    for line in _timeline(steps, expected, now):
        click.echo(line)
    for warning in warnings:
        click.echo(f"{click.style('warning:', fg='yellow')} {warning}", err=True)


def _fields(plan: RolloutPlan, expected: Expected | None, now: float, warnings: list[str]) -> dict[str, Any]:
    from anyservice_core.rollout.windows import Move, closed

    shut = {move: closed(plan.windows, move, now) for move in Move}
    forecast = [
        {"weight": step.weight, **_forecast(plan, step, metric, expected)}
        for step in plan.steps
        for metric in _compared(plan, step)
        if expected
    ]
    return {
        "plan": plan.to_dict(),
        "bake_s": plan.bake_s,
        "most_s": _most_s(plan),
        "windows": {
            move.value: {"open": why is None, "reason": why and why.reason, "opens_at": why and why.opens_at}
            for move, why in shut.items()
        },
        **({"forecast": forecast} if expected else {}),
        "warnings": warnings,
    }


def _most_s(plan: RolloutPlan) -> float | None:
    """Bakes, and every approval at its time-out; ``None`` where one has none."""
    waits = [approval.timeout for approval in plan.approvals]
    return None if None in waits else plan.bake_s + sum(filter(None, waits))


# ── the timeline ────────────────────────────────────────────────────────────


def _timeline(plan: RolloutPlan, expected: Expected | None, now: float) -> Iterator[str]:
    from anyservice_core.rollout.duration import format_duration

    at = 0.0
    yield from _window(plan, "start", now)
    for step in plan.steps:
        yield _line(at, step.weight, f"bake {format_duration(step.bake)}, judged by {_judges(plan, step)}")
        if expected:
            told = (line for metric in _compared(plan, step) for line in _told(plan, step, metric, expected))
            yield from map(_beside, told)
        at += step.bake
        if step.approval:
            yield _beside(_asked(step.approval, "a person approves the move on"))
    yield from _window(plan, "advance", now) if len(plan.steps) > 1 else ()
    if plan.promotion:
        yield _beside(_asked(plan.promotion, "a person approves the promotion"))
    yield from _window(plan, "promote", now)
    yield _line(at, 100, "promotion; no way back from here")
    yield _total(plan)
    yield (
        f"failed: {plan.on_failure}; inconclusive: {plan.on_inconclusive}; "
        f"not measurable: {plan.on_error}; weight moved by others: {plan.on_drift}"
    )


def _line(at: float, weight: int, what: str) -> str:
    from anyservice_core.rollout.duration import format_duration

    return f"{'+' + format_duration(at):>8}  {weight:>3} %  {what}"


def _beside(what: str) -> str:
    return f"{'':17}{what}"


def _judges(plan: RolloutPlan, step: Step) -> str:
    from anyservice_core.rollout.judge import metrics_at

    return ", ".join(metric.name for metric in metrics_at(plan, step.weight))


def _asked(approval: Approval, what: str) -> str:
    from anyservice_core.rollout.duration import format_duration

    if approval.timeout is None:
        return f"{what}, however long it takes"
    end = {"rollback": "it is taken back", "pause": "it pauses", "promote": "it goes on"}[approval.on_timeout]
    return f"{what} within {format_duration(approval.timeout)}, else {end}"


def _window(plan: RolloutPlan, move: str, now: float) -> Iterator[str]:
    """What the time of day has to say about a move, and whether it could be made now."""
    from anyservice_core.rollout.windows import Move, closed

    about = Move(move)
    if not any(about in window.actions for window in plan.windows):
        return
    shut = closed(plan.windows, about, now)
    if shut is None:
        yield _beside(f"may {move} now")
    elif shut.opens_at is None:
        yield _beside(f"may not {move} at any time in sight: {shut.reason}")
    else:
        opens = datetime.fromtimestamp(shut.opens_at, UTC)
        yield _beside(f"may {move} from {opens:%a %d %b %H:%M} UTC; now {shut.reason}")


def _total(plan: RolloutPlan) -> str:
    from anyservice_core.rollout.duration import format_duration

    least, most = format_duration(plan.bake_s), _most_s(plan)
    change = f"each change of weight may take {format_duration(plan.progress_deadline)}"
    if not plan.approvals:
        return f"at least {least}; {change}"
    waits = (
        "without end while nobody approves"
        if most is None
        else f"{format_duration(most)} if every approval takes all its time"
    )
    return f"at least {least}, {waits}; {change}"


# ── the forecast ────────────────────────────────────────────────────────────


def _compared(plan: RolloutPlan, step: Step) -> list[Metric]:
    from anyservice_core.rollout.lints import compared_at

    return compared_at(plan, step)


def _forecast(plan: RolloutPlan, step: Step, metric: Metric, expected: Expected | None) -> dict[str, Any]:
    """Seconds until it can tell; ``None`` where not within the bake."""
    from anyservice_core.rollout.forecast import Expected, decides_after, requests_of

    assert expected is not None
    ratio = metric.compare.max_ratio if metric.compare else 1.0
    worse = (
        [Expected(expected.per_s, expected.bad, ratio * times) for times in _TIMES] if expected.bad else []
    )
    return {
        "metric": metric.name,
        "canary_requests": round(requests_of(expected, step, step.bake)),
        "passes_without_errors_s": decides_after(plan, step, metric, Expected(expected.per_s)),
        "passes_s": decides_after(plan, step, metric, expected),
        "found_s": {f"{one.ratio:g}": decides_after(plan, step, metric, one) for one in worse},
    }


def _told(plan: RolloutPlan, step: Step, metric: Metric, expected: Expected) -> Iterator[str]:
    found = _forecast(plan, step, metric, expected)
    usually = f", at {expected.bad * 100:g} % {_after(found['passes_s'])}" if expected.bad else ""
    passes = f"passes without errors {_after(found['passes_without_errors_s'])}{usually}"
    yield f"{metric.name}, {found['canary_requests']} requests: {passes}"
    worse = [f"{ratio} times as bad {_after(seconds)}" for ratio, seconds in found["found_s"].items()]
    if worse:
        yield f"{' ' * len(metric.name)}  finds a canary {', '.join(worse)}"


def _after(seconds: float | None) -> str:
    from anyservice_core.rollout.duration import format_duration

    return "not in time" if seconds is None else f"after {format_duration(seconds)}"
