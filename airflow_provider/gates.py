"""The way out of a rollout that has come to a gate which others answer for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyservice_core.rollout.journal import Journal

__all__ = ["AtGateError"]


class AtGateError(Exception):
    """Ends following a rollout at a gate; it goes on later from ``journal``."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal.gate)
        self.journal = journal
