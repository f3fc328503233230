"""What holds a rollout, as values. Pure: it knows neither Prefect nor the network."""

from __future__ import annotations

from dataclasses import dataclass

from anyservice_core.rollout.orders import PROMOTION

__all__ = ["HeldError", "Question"]


@dataclass(frozen=True, slots=True)
class Question:
    """What holds a rollout: ``gate``, until when (seconds since the epoch, if it ends by itself), in which words."""

    service: str
    version: str
    gate: str
    until: float | None
    text: str

    @property
    def asks(self) -> bool:
        """Whether people are asked; else it is the time of day, or an order to pause, that holds it."""
        return self.gate == PROMOTION or self.gate.isdigit()

    @property
    def is_window(self) -> bool:
        """Whether it waits for a time that is known."""
        return self.gate.startswith("window:") and self.until is not None


class HeldError(Exception):
    """Ends the process of a rollout at ``question``; under ``key`` Prefect knows it."""

    def __init__(self, question: Question, key: str) -> None:
        super().__init__(question.text)
        self.question = question
        self.key = key
