"""What is allowed in a plan, and still deserves a second thought."""

from __future__ import annotations

from collections.abc import Iterator

from anyservice_core.rollout.duration import format_duration
from anyservice_core.rollout.judge import metrics_at
from anyservice_core.rollout.plan import RolloutPlan, Step

__all__ = ["PLATFORM_LIMIT_S", "lint"]

# Anyscale's documentation has said that a rollout not complete after this long is rolled back by the platform.
PLATFORM_LIMIT_S = 120 * 60.0
_LOOKS = 3


def lint(plan: RolloutPlan, *, limit_s: float = PLATFORM_LIMIT_S) -> list[str]:
    """Warnings, one sentence each."""
    warnings = [warning for step in plan.steps for warning in _step(plan, step)]
    if plan.bake_s > limit_s:
        warnings.append(
            f"the steps bake {format_duration(plan.bake_s)} in all; the managed platform may roll back "
            f"a rollout that takes more than {format_duration(limit_s)}"
        )
    if not any(metric.provider != "service" and not metric.dry_run for metric in plan.metrics):
        warnings.append("no metric but the service's own health: errors of the application will not stop it")
    return warnings


def _step(plan: RolloutPlan, step: Step) -> Iterator[str]:
    for metric in metrics_at(plan, step.weight):
        needed = metric.initial_delay + _LOOKS * metric.every_s
        if metric.provider != "service" and not metric.dry_run and step.bake < needed:
            yield (
                f"weight {step.weight}: bakes {format_duration(step.bake)}, less than three intervals of "
                f"{metric.name!r}; give it {format_duration(needed)} or more"
            )
