"""How the process of a rollout ends at a gate, to go on in another one."""

from __future__ import annotations

from anyservice_core.rollout.questions import Question

__all__ = ["HeldError"]


class HeldError(Exception):
    """Ends the process of a rollout at ``question``; under ``key`` Prefect knows it."""

    def __init__(self, question: Question, key: str) -> None:
        super().__init__(question.text)
        self.question = question
        self.key = key
