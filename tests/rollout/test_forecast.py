"""When a comparison could decide, and what is said of a plan for it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from anyservice_core.rollout import RolloutPlan
from anyservice_core.rollout.forecast import Expected, decides_after, requests_of
from anyservice_core.rollout.lints import lint, open_share
from anyservice_core.rollout.windows import Move, Window

MONDAY = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()


def plan_of(bake: str = "1h", steps: Any = (5, 50), **compare: Any) -> RolloutPlan:
    metric = {"name": "errors", "provider": "router", "interval": "10s", "compare": compare}
    return RolloutPlan.parse({"steps": [*steps], "bake": bake, "metrics": [metric]})


def after(plan: RolloutPlan, expected: Expected, **options: Any) -> float | None:
    return decides_after(plan, plan.steps[0], plan.metrics[0], expected, **options)


@pytest.mark.parametrize(("max_rate", "needed"), [(0.01, 354), (0.001, 3_556)])
def test_so_many_requests_without_an_error_prove_a_low_rate(max_rate: float, needed: int) -> None:
    """The figures of the absolute arm, to the next window."""
    plan = plan_of("2h", max_rate=max_rate)
    seconds = after(plan, Expected(20.0))  # one request a second for the canary
    assert seconds == math.ceil(needed / 10) * 10


def test_the_judge_itself_is_asked() -> None:
    """So a comparison that clumps needs more, and one with other limits something else."""
    usual = after(plan_of(), Expected(200.0, 0.005))
    assert usual is not None
    clumped = after(plan_of(dispersion=5.0), Expected(200.0, 0.005))
    assert clumped is None or clumped > usual
    strict = after(plan_of(confidence=0.999), Expected(200.0, 0.005))
    assert strict is None or strict > usual


def test_the_worse_a_canary_the_sooner_it_is_found() -> None:
    """Exactly twice as bad is tolerated by default, and neither passes nor fails."""
    times = [
        after(plan_of(max_rate=0.001), Expected(200.0, 0.005, ratio)) for ratio in (2.0, 4.0, 10.0, 30.0)
    ]
    assert times[0] is None
    found = [seconds for seconds in times[1:] if seconds is not None]
    assert len(found) == 3
    assert found == sorted(found, reverse=True)


def test_delays_come_before_the_first_window() -> None:
    """And a bake that is shorter than they are decides nothing."""
    late = RolloutPlan.parse(
        {
            "steps": [50],
            "bake": "10m",
            "metrics": [{"name": "errors", "provider": "router", "initial_delay": "5m", "compare": {}}],
        }
    )
    seconds = after(late, Expected(1_000.0))
    assert seconds is not None
    assert seconds >= 300
    assert after(late, Expected(1_000.0), within_s=200) is None


def test_a_long_look_ahead_is_made_of_wider_windows() -> None:
    """A week is answered as soon as an hour, and about the same."""
    near, far = after(plan_of(), Expected(20.0)), after(plan_of(), Expected(20.0), within_s=7 * 86_400)
    assert near is not None
    assert far is not None
    assert near <= far <= near + 7 * 86_400 / 1_000


def test_no_traffic_decides_nothing() -> None:
    """Neither does a step without users."""
    assert after(plan_of(), Expected(0.0), within_s=86_400) is None
    plan = plan_of(steps=(0, 5))
    assert after(plan, Expected(1_000.0)) is None
    assert requests_of(Expected(20.0), plan.steps[1], 60) == 60.0


# ── warnings ──


def warned(plan: RolloutPlan, expected: Expected) -> list[str]:
    return lint(plan, expected=expected, limit_s=1e9)


def test_a_comparison_that_can_decide_is_not_mentioned() -> None:
    """Enough traffic for both a quiet day and a usual one."""
    assert warned(plan_of(), Expected(200.0, 0.001)) == []


def test_a_comparison_that_cannot_decide_is_told_with_what_it_would_take() -> None:
    """Without errors; or with those that are usual, where the bake is enough for a quiet day only."""
    first, _ = warned(plan_of("5m"), Expected(1.0, 0.005))
    assert (
        "weight 5: 'errors' cannot decide within its bake of 5m, in which the canary gets 15 requests"
        in first
    )
    assert "without errors it takes about 1h58m or 354 requests" in first
    assert "`on_inconclusive` (pause)" in first
    (second,) = warned(plan_of("15m"), Expected(20.0, 0.005))
    assert (
        "decides within its bake of 15m only if next to nothing errs; at 0.5 % errors it takes about"
        in second
    )
    (never,) = warned(plan_of("5m", steps=(1,)), Expected(0.001, 0.005))
    assert "a week would not be enough" in never


def test_without_an_absolute_arm_a_quiet_service_never_passes() -> None:
    """Once for the metric, and for each step that cannot decide even with errors."""
    assert warned(plan_of(max_rate=None), Expected(200.0, 0.01)) == [
        "'errors' cannot pass while nothing errs, as its `max_rate` is null"
    ]
    _, short, _ = warned(plan_of("2m", max_rate=None), Expected(2.0, 0.01))
    assert "cannot decide within its bake of 2m" in short
    assert "at 1 % errors it takes about" in short


def test_what_is_only_measured_is_not_warned_of() -> None:
    """A dry run decides nothing anyway, nor does what compares no users."""
    metric = {"name": "errors", "provider": "router", "compare": {}, "dry_run": True}
    plan = RolloutPlan.parse({"steps": [5], "bake": "5m", "metrics": [metric]})
    assert not any("errors'" in warning for warning in warned(plan, Expected(0.1)))


def windowed(*windows: dict[str, Any]) -> RolloutPlan:
    metric = {"name": "errors", "provider": "router"}
    return RolloutPlan.parse({"steps": [5], "bake": "5m", "metrics": [metric], "windows": [*windows]})


def test_a_window_that_hardly_ever_opens_is_told() -> None:
    """Or never; one that keeps office hours is fine, and without a time nothing is said."""
    office = {"kind": "allow", "schedule": "0 9 * * mon-fri", "duration": "8h"}
    rare = {"kind": "allow", "schedule": "0 9 2 * *", "duration": "1h", "actions": ["promote"]}
    far = {"kind": "allow", "schedule": "0 9 20 * *", "duration": "5d", "actions": ["start"]}
    never = {"kind": "deny", "schedule": "* * * * *", "duration": "1h", "actions": ["advance"]}
    assert lint(windowed(office), at=MONDAY) == []
    assert lint(windowed(rare, never)) == []
    assert lint(windowed(rare), at=MONDAY) == ["windows: it may promote in only 0.1% of the next four weeks"]
    (later,) = lint(windowed(far), at=MONDAY)
    assert later.startswith(
        "windows: it may not start before Sat 20 Jun 2026 09:00 UTC (outside of 0 9 20 * * UTC"
    )
    (shut,) = lint(windowed(never), at=MONDAY)
    assert "it may not advance at any time that is in sight" in shut


def test_the_share_of_time_that_is_free() -> None:
    """Of the next four weeks, denials taken off."""
    office = Window(kind="allow", schedule="0 9 * * mon-fri", duration="8h")  # type: ignore[arg-type]
    lunch = Window(kind="deny", schedule="0 12 * * *", duration="1h")  # type: ignore[arg-type]
    assert open_share((), Move.START, MONDAY) == 1.0
    assert open_share((office,), Move.START, MONDAY) == pytest.approx(20 * 8 / (28 * 24), rel=1e-6)
    assert open_share((office, lunch), Move.START, MONDAY) == pytest.approx(20 * 7 / (28 * 24), rel=1e-6)
