"""How a rollout went, in full: what an operator wants to read the morning after."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from anyservice_core.rollout.orders import Order

__all__ = ["Finding", "Outcome", "Phase", "RolloutReport", "StepReport", "Verdict"]


class Phase(StrEnum):
    """What a metric, or all of them together, say. The order is from best to worst."""

    SUCCESSFUL = "successful"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        return list(Phase).index(self)


class Outcome(StrEnum):
    """How a rollout ended."""

    SUCCEEDED = "succeeded"
    NO_CHANGE = "no_change"
    ROLLED_BACK = "rolled_back"
    PAUSED = "paused"
    SUPERSEDED = "superseded"
    FAILED = "failed"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Finding(_Part):
    """What one metric says of the canary: ``message`` for people, ``numbers`` for machines.

    ``dry_run``: it was measured but not counted. ``common_mode``: both versions are bad, so going
    back would not help. ``pending``: the last measurement failed and is about to be tried again.
    """

    metric: str
    phase: Phase
    message: str
    numbers: Mapping[str, float] = {}
    dry_run: bool = False
    common_mode: bool = False
    pending: bool = False

    def __str__(self) -> str:
        """One line."""
        return f"{self.metric}: {self.message}{' (dry run)' if self.dry_run else ''}"


class Verdict(_Part):
    """What all metrics of a step say together, and why."""

    phase: Phase = Phase.INCONCLUSIVE
    reason: str = "nothing was measured yet"
    common_mode: bool = False
    pending: bool = False
    findings: tuple[Finding, ...] = ()


class StepReport(_Part):
    """One weight that the canary was held at.

    ``seen_at`` is seconds since the epoch; ``baked_s`` how long it was watched, ``held_s`` how long people and windows held it.
    """

    weight: int
    seen_at: float
    baked_s: float
    held_s: float = 0.0
    phase: Phase
    findings: tuple[Finding, ...] = ()


class RolloutReport(_Part):
    """The end of a rollout.

    ``baseline_version`` is the id of the version that was primary before, ``None`` when there was none;
    ``version`` that of the version that was brought. ``steps`` are those that were held, in order;
    ``steps_skipped`` says that a new service came up whole; ``orders`` are what people ordered meanwhile.
    ``replayed`` says that the judge was asked about the past, and nothing was done to the service.
    Times are seconds since the epoch.
    """

    outcome: Outcome
    service: str
    service_id: str = ""
    version_name: str
    version: str | None = None
    baseline_version: str | None = None
    baseline_name: str | None = None
    reason: str
    pause: str | None = None
    steps: tuple[StepReport, ...] = ()
    steps_skipped: bool = False
    orders: tuple[Order, ...] = ()
    started_at: float
    ended_at: float
    rollout_key: str = ""
    attempt: int = 0
    replayed: bool = False

    @property
    def duration_s(self) -> float:
        """Seconds from the first look to the end, pauses of the process included."""
        return self.ended_at - self.started_at

    @property
    def requests(self) -> int:
        """How many requests the canary answered while it was compared, as far as they were counted."""
        return sum(_largest(step, "canary_requests") for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values."""
        return {**self.model_dump(mode="json"), "duration_s": self.duration_s, "requests": self.requests}

    def __str__(self) -> str:
        """One line."""
        return f"{self.service}: {self.outcome.replace('_', ' ')}: {self.reason}"


def _largest(step: StepReport, number: str) -> int:
    return max((int(finding.numbers.get(number, 0)) for finding in step.findings), default=0)
