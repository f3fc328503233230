"""What people may ask of a rollout while it runs, and what is kept of it.

Orders are values with an id, so one that is delivered twice, to two workers or after a crash, counts once.
All of them stay in the journal and come back in the report: who asked for what, when and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PROMOTION", "Order", "OrderKind"]

PROMOTION = "promotion"  # the gate before 100; those of steps are called by their weights


class OrderKind(StrEnum):
    """What can be asked.

    ``approve`` opens an approval gate. ``promote`` goes on from the present step whatever still holds it: its
    bake, a gate, a closed window, numbers that do not say enough; a failed verdict still goes back.
    ``promote-full`` does so and leaves out the steps that remain. ``pause`` holds the weight until ``resume``.
    ``abort`` takes the canary back.
    """

    APPROVE = "approve"
    PROMOTE = "promote"
    PROMOTE_FULL = "promote-full"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"


class Order(BaseModel):
    """One order. ``at``: when it was given, seconds since the epoch. ``by``: who gave it.

    ``gate`` is what it is about, the weight of a step as text or ``promotion``; if it is not said, it is
    whatever holds the rollout when the order is taken in. ``weight`` is that of the canary then.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: OrderKind
    at: float
    by: str = ""
    reason: str = ""
    gate: str | None = None
    weight: int | None = None
    id: str = Field(default_factory=lambda: uuid4().hex)

    @classmethod
    def read(cls, source: Order | Mapping[str, Any]) -> Order | None:
        """An order from outside; ``None`` for what is none."""
        try:
            return cls.model_validate(source)
        except ValueError:
            return None

    @property
    def signed(self) -> str:
        """Who, and why."""
        who = f"by {self.by}" if self.by else "by someone"
        return f"{who}: {self.reason}" if self.reason else who

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind.value} {self.signed}"
