"""Cutting a list that is at hand into pages."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.plane.routes import ApiReply, page

__all__ = ["Paged", "Token"]

Token: TypeAlias = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
"""Where a page begins. To clients it means nothing; what this plane never gave out, it refuses."""


class Paged(BaseModel):
    """The part of a query that says which page of a list is meant."""

    model_config = ConfigDict(frozen=True)

    count: Annotated[int, Field(ge=1, le=50)] = 10
    paging_token: Token | None = None

    @property
    def start(self) -> int:
        return int(self.paging_token or 0)

    def next(self, total: int) -> str | None:
        """Give the token of the page after this one, of a list of so many; ``None`` at its end."""
        end = self.start + self.count
        return str(end) if end < total else None

    def cut(self, found: list[Any]) -> ApiReply:
        """Answer this page of all that was found."""
        return page(found[self.start : self.start + self.count], len(found), self.next(len(found)))
