"""A rollout cut into parts, for who wants to see each step and each approval on its own.

    step_10 >> approve_10 >> step_50 >> approve_promotion >> promote

It stays one rollout: each part has the whole plan and goes on from the journal of the one before. It ends at the gate
``end``, with the canary at the weight that the next part begins with. People are asked in parts of their own; in
these the canary is watched and measured while they think, as it is in one rollout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from anyservice_core.rollout.orders import PROMOTION
from anyservice_core.rollout.plan import RolloutPlan, Step

__all__ = ["Part", "parts"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part. ``until``: the weight that it ends at, ``None`` for the last. ``gate``: the approval that it is, if it is one."""

    name: str
    until: int | None
    gate: str | None = None

    def plan(self, whole: RolloutPlan) -> RolloutPlan:
        """The plan as this part sees it: people are asked for nothing but ``gate``."""
        promotion = whole.promotion if self.gate == PROMOTION else None
        steps = tuple(self._asked(step) for step in whole.steps)
        return whole.model_copy(update={"steps": steps, "promotion": promotion})

    def _asked(self, step: Step) -> Step:
        return step if str(step.weight) == self.gate else step.model_copy(update={"approval": None})


def parts(plan: RolloutPlan) -> Iterator[Part]:
    """All parts of a rollout, in order; the last is the promotion."""
    for step in plan.steps:
        yield Part(f"step_{step.weight}", step.weight)
        if step.approval:
            yield Part(f"approve_{step.weight}", step.weight, str(step.weight))
    if plan.promotion:
        yield Part(f"approve_{PROMOTION}", plan.weights[-1] if plan.steps else 0, PROMOTION)
    yield Part("promote", None)
