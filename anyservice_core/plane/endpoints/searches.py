"""Searching by exact name, as several parts of the API put it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Equals", "NameSearch"]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Equals(_Asked):
    """A condition on one field; none if it is empty."""

    equals: str | None = None

    def fits(self, value: str | None) -> bool:
        return self.equals is None or self.equals == value


class NameSearch(_Asked):
    """A search by name, written as ``{"equals": name}``."""

    name: Equals = Equals()
