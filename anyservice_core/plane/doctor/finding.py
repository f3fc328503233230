"""What a look at the machine gives, and what is looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from anyservice_core.plane import control

__all__ = ["Case", "Finding", "Level"]

Level: TypeAlias = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What is so, and what to do if that is not good."""

    name: str
    level: Level
    message: str
    way_out: str = ""

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Case:
    """What is examined: the plane on ``state_dir`` as it is to be run."""

    state_dir: Path
    port: int
    engine: str

    @property
    def record(self) -> dict[str, Any] | None:
        """The plane that runs there, if one does."""
        return control.read_record(self.state_dir)
