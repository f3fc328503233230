"""What a rollout tells while it runs: one line for people, the same as plain values for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Event", "Kind"]


class Kind(StrEnum):
    """What an event is about."""

    STARTED = "started"
    ADOPTED = "adopted"
    DEPLOYING = "deploying"
    SHIFTING = "shifting"
    BAKING = "baking"
    MEASURED = "measured"
    WAITING = "waiting"
    ORDERED = "ordered"
    TROUBLE = "trouble"
    PROMOTING = "promoting"
    ROLLING_BACK = "rolling_back"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened in the rollout of ``version`` to ``service``.

    ``version`` is the version's name. ``weight`` is the canary's percent of the traffic, ``None`` while
    it has none. ``at`` is seconds since the epoch. ``data`` holds numbers and names by kind.
    """

    kind: Kind
    service: str
    version: str
    weight: int | None
    message: str
    at: float
    data: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line."""
        return f"{self.service}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values."""
        return {
            "kind": self.kind.value,
            "service": self.service,
            "version": self.version,
            "weight": self.weight,
            "message": self.message,
            "at": self.at,
            "data": dict(self.data),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Event:
        """The event that ``to_dict`` wrote."""
        return cls(**{**values, "kind": Kind(values["kind"])})
