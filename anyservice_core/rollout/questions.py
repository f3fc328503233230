"""What people are asked while a rollout is held, as far as its events and its journal tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.orders import PROMOTION

__all__ = ["OpenQuestion", "Question"]

# Of these, none says that a gate was left behind.
_ASIDE: Final = frozenset({Kind.MEASURED, Kind.ORDERED, Kind.TROUBLE, Kind.WAITING, Kind.BAKING})


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


class OpenQuestion:
    """The question that holds a rollout now, ``None`` if none does.

    A rollout tells of a gate once. So ``begin`` takes in what an earlier process remembers of it: a rollout that
    was held already, and is found again, does not say so anew.
    """

    def __init__(self) -> None:
        self.now: Question | None = None
        self._remembered: Mapping[str, Any] = {}

    def begin(self, journal: object) -> None:
        """Take in the journal of an earlier process, if there is one."""
        self._remembered = journal if isinstance(journal, Mapping) else {}

    def hear(self, event: object) -> bool:
        """Take in an event; says whether it asks something."""
        if not isinstance(event, Event):
            return False
        gate = event.data.get("gate")
        if event.kind is Kind.WAITING and gate:
            until = event.data.get("until")
            self.now = Question(event.service, event.version, str(gate), until, str(event))
            return True
        if event.kind is Kind.ADOPTED:
            self.now = self._left_open(event)
        elif event.kind not in _ASIDE:
            self.now = None
        return False

    def settle(self) -> None:
        """Forget it: it has been answered."""
        self.now = None

    def holds(self, journal: object) -> bool:
        """Whether ``journal``, which is about to be kept, says that the rollout is held by it."""
        return self.now is not None and getattr(journal, "gate", None) == self.now.gate

    def _left_open(self, event: Event) -> Question | None:
        """What an earlier process was held by, with this very version."""
        gate = self._remembered.get("gate")
        if not gate or self._remembered.get("version_name") != event.version:
            return None
        return Question(event.service, event.version, str(gate), None, f"{event.service}: go on?")
