"""What all sources of a plan have in common."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.metrics.asking import UnreadableError
from anyservice_core.metrics.reading import Count

__all__ = ["TO_BE_SHOWN", "Seconds", "Source", "counted"]

# The context of a ``model_dump`` that people read, and no process: what has no name elsewhere is all right there.
TO_BE_SHOWN: Final = {"to": "be shown"}

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=600)]


class Source(BaseModel):
    """A source with options: frozen, and strict about names.

    ``name`` is its key in a plan. ``every_s`` is how often it is asked where a metric does not say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    every_s: ClassVar[float] = 60.0

    @property
    def brings_counts(self) -> bool | None:
        """Whether it brings counts of both versions rather than one number; ``None``: as the metric asks."""
        return None

    @property
    def looks_back(self) -> bool:
        """Whether a measurement is about the time since the last one, and not about the present moment."""
        return False

    @property
    def delay_s(self) -> float:
        """How far in the past its windows end, in seconds, because what it knows comes late."""
        return 0.0


def counted(requests: float, bad: float) -> Count:
    """Whole numbers: stores extrapolate, and two queries see two moments. Raises ``UnreadableError``."""
    if min(requests, bad) < 0:
        raise UnreadableError(
            f"a count of {min(requests, bad):.4g}: ask for what was added, as increase() gives it"
        )
    if bad > 1.5 * requests + 10:
        raise UnreadableError(
            f"{bad:.0f} `errors` of {requests:.0f} `requests`: they do not count the same requests"
        )
    answered = round(requests)
    return Count(answered, min(answered, round(bad)))
