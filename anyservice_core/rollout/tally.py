"""The running account of one metric at one step: what was measured so far, in a form that can be saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from anyservice_core.metrics import Count, Increase, Level, Reading, Totals, Unreadable
from anyservice_core.rollout.evidence import Window
from anyservice_core.rollout.metric import Metric
from anyservice_core.rollout.report import Phase

__all__ = ["Tally", "due", "record"]

_RETRY_S = 10.0
_MAX_WINDOWS = 240


class Tally(BaseModel):
    """Counts of measurements by what they said; for comparisons, the windows themselves.

    ``at`` is when it was last tried, ``totals`` the counters then. ``passed`` says that the evidence was
    once enough to pass: by the nature of the test, that stands.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float | None = None
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    failed_in_row: int = 0
    errors_in_row: int = 0
    value: float | None = None
    trouble: str = ""
    totals: Window | None = None
    windows: tuple[Window, ...] = ()
    passed: bool = False

    @property
    def measured(self) -> int:
        """Measurements that said something; errors are not among them."""
        return self.successful + self.failed + self.inconclusive

    def replace(self, **changes: Any) -> Tally:
        return self.model_copy(update=changes)

    def count(self, phase: Phase) -> Tally:
        """One more measurement, and what it said."""
        return self.replace(
            successful=self.successful + (phase is Phase.SUCCESSFUL),
            failed=self.failed + (phase is Phase.FAILED),
            inconclusive=self.inconclusive + (phase is Phase.INCONCLUSIVE),
            failed_in_row=self.failed_in_row + 1 if phase is Phase.FAILED else 0,
            errors_in_row=0,
            trouble="",
        )


def due(metric: Metric, tally: Tally, since: float, now: float, *, last_look: bool = False) -> bool:
    """Whether it is time to measure at a step whose weight was seen at ``since``.

    ``last_look``: the bake is over, so counters that cost nothing are read once more.
    """
    if tally.at is None:
        return now >= since + metric.initial_delay + _lead_s(metric)
    if now < tally.at:  # the clock was set back
        return True
    wait = min(_RETRY_S, metric.every_s) if tally.errors_in_row else metric.every_s
    return now >= tally.at + wait or (last_look and metric.provider == "router" and now > tally.at)


def _lead_s(metric: Metric) -> float:
    """Increases look back, so the first one waits until the whole window lies within the step."""
    return metric.every_s if metric.counts and metric.provider != "router" else 0.0


def record(metric: Metric, tally: Tally, reading: Reading, at: float) -> Tally:
    """The account with one more reading in it."""
    tally = tally.replace(at=at)
    match reading:
        case Unreadable(why):
            return tally.replace(errors_in_row=tally.errors_in_row + 1, trouble=why)
        case Level(value):
            return tally.replace(value=value).count(_says(metric, value))
        case Increase(canary, primary):
            return _add(tally, _window(canary, primary)).count(Phase.INCONCLUSIVE)
        case Totals(canary, primary):
            totals = _window(canary, primary)
            counted = _add(tally, _since(tally.totals, totals)) if tally.totals else tally
            return counted.replace(totals=totals).count(Phase.INCONCLUSIVE)


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
