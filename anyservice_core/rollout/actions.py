"""All that a rollout can do next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from anyservice_core.rollout.report import Outcome

__all__ = ["Action", "Deploy", "Finish", "Pause", "PauseKind", "Promote", "Rollback", "Shift", "Wait"]


class PauseKind(StrEnum):
    """Why a rollout holds still and needs a person."""

    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    DRIFT = "drift"
    PRIMARY_UNHEALTHY = "primary-unhealthy"
    COMMON_MODE = "common-mode"
    OCCUPIED = "occupied"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again later. ``quiet``: what is waited for was told when it began.

    ``gate`` is the one that holds the rollout, if that is what is waited for; ``until`` is when the wait ends
    by itself, seconds since the epoch, if that is known.
    """

    reason: str
    quiet: bool = False
    gate: str | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Deploy:
    """Send our version with this canary weight; ``whole``: there is nothing to be a canary beside."""

    weight: int
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Shift:
    """Move our canary up to this weight, below 100."""

    weight: int


@dataclass(frozen=True, slots=True)
class Promote:
    """Give our canary all of the traffic. There is no way back from here."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Take our canary back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Leave all as it is and call a person."""

    kind: PauseKind
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """It is over."""

    outcome: Outcome
    reason: str


Action: TypeAlias = Wait | Deploy | Shift | Promote | Rollback | Pause | Finish
