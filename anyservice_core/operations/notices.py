"""What an operation tells whoever watches, where it is not about one step of its own."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Ignored"]


@dataclass(frozen=True, slots=True)
class Ignored:
    """An option that has no meaning in this case was left out."""

    option: str
    why: str

    def __str__(self) -> str:
        return f"{self.option} is ignored: {self.why}"
