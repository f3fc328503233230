"""The running account of one metric at one step: what was measured so far, in a form that can be saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from anyservice_core.metrics import Count, Increase, Level, Reading, Said, Totals, Unreadable
from anyservice_core.rollout.evidence import Window
from anyservice_core.rollout.metric import Metric
from anyservice_core.rollout.report import Phase

__all__ = ["Tally", "due", "record"]

_RETRY_S = 10.0
_MAX_WINDOWS = 240
_LONGEST_TEXT = 300


class Tally(BaseModel):
    """Counts of measurements by what they said; for comparisons, the windows themselves.

    ``at`` is when it was last tried, ``until`` where the window of the last that worked ended, ``totals`` the
    counters then. ``passed`` says that the evidence, or the successes in a row, were once enough: that stands.
    ``note`` is what the last measurement said beside its number, ``trouble`` why it failed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float | None = None
    until: float | None = None
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    successful_in_row: int = 0
    failed_in_row: int = 0
    errors_in_row: int = 0
    value: float | None = None
    note: str = ""
    trouble: str = ""
    totals: Window | None = None
    windows: tuple[Window, ...] = ()
    passed: bool = False

    @property
    def measured(self) -> int:
        """Measurements that said something; errors are not among them."""
        return self.successful + self.failed + self.inconclusive

    def complete(self, metric: Metric) -> bool:
        """Whether it was measured as often as the plan asks."""
        return metric.count is None or self.measured >= metric.count

    def replace(self, **changes: Any) -> Tally:
        return self.model_copy(update=changes)

    def count(self, phase: Phase) -> Tally:
        """One more measurement, and what it said."""
        return self.replace(
            successful=self.successful + (phase is Phase.SUCCESSFUL),
            failed=self.failed + (phase is Phase.FAILED),
            inconclusive=self.inconclusive + (phase is Phase.INCONCLUSIVE),
            successful_in_row=self.successful_in_row + 1 if phase is Phase.SUCCESSFUL else 0,
            failed_in_row=self.failed_in_row + 1 if phase is Phase.FAILED else 0,
        ).well()

    def well(self) -> Tally:
        """It could be measured, so what went wrong before is over."""
        return self.replace(errors_in_row=0, trouble="")


def due(metric: Metric, tally: Tally, since: float, now: float, *, last_look: bool = False) -> bool:
    """Whether it is time to measure at a step whose weight was seen at ``since``.

    ``last_look``: the bake is over, so counters that cost nothing are read once more.
    """
    if metric.count is not None and tally.complete(metric):
        return False
    if tally.at is None:
        return now >= since + metric.lead_s
    if now < tally.at:  # the clock was set back
        return True
    wait = min(_RETRY_S, metric.every_s) if tally.errors_in_row else metric.every_s
    return now >= tally.at + wait or (last_look and metric.provider == "router" and now > tally.at)


def record(metric: Metric, tally: Tally, reading: Reading, at: float, until: float | None = None) -> Tally:
    """The account with one more reading in it, of a window that ended at ``until``, by default now."""
    told, fitting = tally.replace(at=at), _fitting(metric, reading)
    match fitting:
        case Unreadable(why):
            return told.replace(errors_in_row=tally.errors_in_row + 1, trouble=_line(why))
        case Level(value, why):
            said = _says(metric, value)
            after = told.replace(value=value, note=_line(why)).count(said)
        case Said(passed, why):
            said = Phase.SUCCESSFUL if passed else Phase.FAILED
            after = told.replace(
                value=None, note=_line(why) or ("it said yes" if passed else "it said no")
            ).count(said)
        case Increase(canary, primary, why):
            after = _add(told.replace(note=_line(why)), _window(canary, primary)).count(Phase.INCONCLUSIVE)
        case _:
            after = _grown(told, _window(fitting.canary, fitting.primary))
    row = metric.consecutive_success_limit
    enough = row is not None and after.successful_in_row > row
    return after.replace(until=until if until is not None else at, passed=after.passed or enough)


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TEXT]


def _fitting(metric: Metric, reading: Reading) -> Reading:
    """The reading, if the metric has a way to judge what it brings."""
    brings_counts = isinstance(reading, Increase | Totals)
    if isinstance(reading, Unreadable) or brings_counts == metric.counts:
        ranges = metric.success is not None or metric.failure is not None
        if not isinstance(reading, Level) or ranges:
            return reading
        return Unreadable("it brought a number, which takes `success` or `failure` to judge")
    wanted = (
        "counts of both versions are needed to compare" if metric.counts else "they take `compare` to judge"
    )
    return Unreadable(f"it brought {'counts' if brings_counts else 'no counts'}, and {wanted}")


def _grown(tally: Tally, totals: Window) -> Tally:
    """Counters that were read: the first reading is only where counting begins."""
    counted = tally.replace(totals=totals)
    if tally.totals is None:
        return counted.well()
    return _add(counted, _since(tally.totals, totals)).count(Phase.INCONCLUSIVE)


def _says(metric: Metric, value: float | None) -> Phase:
    """What one number says: failure wins; with both ranges given and neither met it is inconclusive."""
    if value is None:
        return {"success": Phase.SUCCESSFUL, "failure": Phase.FAILED}.get(
            metric.on_no_data, Phase.INCONCLUSIVE
        )
    if metric.failure is not None and value in metric.failure:
        return Phase.FAILED
    if metric.success is None or value in metric.success:
        return Phase.SUCCESSFUL
    return Phase.FAILED if metric.failure is None else Phase.INCONCLUSIVE


def _window(canary: Count, primary: Count) -> Window:
    return Window(canary.requests, canary.bad, primary.requests, primary.bad)


def _since(before: Window, now: Window) -> Window | None:
    """The growth of counters; ``None`` where one shrank, as it began anew and the rest is unknown."""
    growth = Window(*(new - old for old, new in zip(before, now, strict=True)))
    whole = (
        min(growth) >= 0 and growth.canary_bad <= growth.canary_n and growth.primary_bad <= growth.primary_n
    )
    return growth if whole else None


def _add(tally: Tally, window: Window | None) -> Tally:
    if window is None or not (window.canary_n or window.primary_n):
        return tally
    windows = (*tally.windows, window)
    return tally.replace(windows=_merged(windows) if len(windows) > _MAX_WINDOWS else windows)


def _merged(windows: Sequence[Window]) -> tuple[Window, ...]:
    """Neighbours in pairs, so that a long bake stays small; within a step the split of traffic is one."""
    pairs = [windows[i : i + 2] for i in range(0, len(windows), 2)]
    return tuple(Window(*(sum(column) for column in zip(*pair, strict=True))) for pair in pairs)
