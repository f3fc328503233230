"""What all shapes of the API have in common, and the envelopes that answers come in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "EPOCH",
    "ErrorAnswer",
    "ErrorBody",
    "Moment",
    "PageMetadata",
    "Percent",
    "Result",
    "Results",
    "Whole",
    "Wire",
]

T = TypeVar("T")


def _with_offset(moment: datetime) -> datetime:
    """Take a time without an offset as UTC: clients disagree about naive times, so none is passed on."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _whole(number: Any) -> Any:
    """Take 20.0 as 20: to JSON both are the same number."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


Moment = Annotated[datetime, AfterValidator(_with_offset)]
Whole = Annotated[int, BeforeValidator(_whole)]
Percent = Annotated[int, Field(ge=0, le=100), BeforeValidator(_whole)]
EPOCH = datetime.fromtimestamp(0, UTC)


class Wire(BaseModel):
    """One shape of the API; frozen, and deaf to keys that it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=(), defer_build=True)


class Result(Wire, Generic[T]):
    """A single answer."""

    result: T


class PageMetadata(Wire):
    total: int | None = None
    next_paging_token: str | None = None


class Results(Wire, Generic[T]):
    """One page of a list."""

    results: list[T]
    metadata: PageMetadata = PageMetadata()


class ErrorBody(Wire):
    """``detail`` is a text, or for a 422 the list of ``{"loc", "msg"}`` beside a ``message``."""

    message: str | None = None
    detail: str | list[Any] | None = None


class ErrorAnswer(Wire):
    error: ErrorBody
