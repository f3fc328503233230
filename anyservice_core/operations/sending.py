"""From a ``Request`` to a model: retries, the error tree, the envelope.

What may be sent again is decided here and nowhere else. A request that is safe to repeat
(``idempotent``) is sent up to ``ATTEMPTS`` times when no answer came or the server could not answer
(429, 5xx). One that is not is repeated only after a 429, which says that nothing was done. Pauses
double up to a cap with full jitter, so that many clients do not come back in step; a ``Retry-After``
is kept to, up to a cap of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from anyservice_core.effects import Op, Reply, Report, Request, Sleep
from anyservice_core.errors import (
    ApiError,
    AuthError,
    ConflictError,
    DecodeError,
    NotFoundError,
    RejectedError,
    TransportError,
    UnavailableError,
)
from anyservice_core.operations.reading import decode, place, read, readable

if TYPE_CHECKING:
    from anyservice_core.models.wire import Results

__all__ = ["ATTEMPTS", "Retrying", "backoff", "check", "exchange", "place", "read", "send", "send_page"]

T = TypeVar("T")

ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
LONGEST_RETRY_AFTER_S = 60.0
_LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True)
class Retrying:
    """An exchange failed for now and will be tried again."""

    what: str
    reason: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.what} failed, try {self.attempt} of {ATTEMPTS}: {self.reason}"


def send(request: Request, model: type[T], *, attempts: int = ATTEMPTS) -> Op[T]:
    """The model inside ``{"result": ...}``. Raises ``ApiError``, ``TransportError`` or ``DecodeError``."""
    reply = yield from exchange(request, attempts=attempts)
    return decode(request, reply, model)


def send_page(
    request: Request, model: type[T], *, attempts: int = ATTEMPTS, forgiving: bool = False
) -> Op[Results[T]]:
    """One page of a list answer. If it is ``forgiving``, items that cannot be read are told of and left out."""
    from anyservice_core.models.wire import Results

    reply = yield from exchange(request, attempts=attempts)
    try:
        page: Results[T] = read(request, reply, Results[model])  # type: ignore[valid-type]
    except DecodeError as error:
        if not forgiving:
            raise
        return (yield from readable(request, reply, model, error))
    return page


def exchange(request: Request, *, attempts: int = ATTEMPTS) -> Op[Reply]:
    """Send, repeat where that is safe, and give back an answer that says yes."""
    for attempt in range(1, attempts):
        try:
            return check(request, (yield from request))
        except (TransportError, UnavailableError) as error:
            if not _may_repeat(request, error):
                raise
            yield from Report(Retrying(place(request), error.message, attempt))
            yield from backoff(attempt, error)
    return check(request, (yield from request))


def backoff(attempt: int, error: TransportError | UnavailableError | None = None) -> Op[None]:
    """The pause after the given try, 1 being the first."""
    asked = error.retry_after_s if isinstance(error, UnavailableError) else None
    if asked is not None:
        yield from Sleep(min(asked, LONGEST_RETRY_AFTER_S))
    else:
        yield from Sleep(min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S), jitter=1.0)


def _may_repeat(request: Request, error: TransportError | UnavailableError) -> bool:
    return request.idempotent or getattr(error, "status", None) == HTTPStatus.TOO_MANY_REQUESTS


# ── the answer ──────────────────────────────────────────────────────────────


def check(request: Request, reply: Reply) -> Reply:
    """The reply itself if it says yes; the fitting ``ApiError`` otherwise."""
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return reply
    raise _error(request, reply)


def _error(request: Request, reply: Reply) -> ApiError:
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return _kind(reply.status)(
        f"{_text(reply.body) or _phrase(reply.status)} (HTTP {reply.status} from {place(request)})",
        status=reply.status,
        hint=_HINTS.get(reply.status),
        request_id=headers.get("x-trace-id") or headers.get("x-request-id"),
        retry_after_s=_retry_after(headers),
    )


_HINTS: Mapping[int, str] = {
    401: "It comes from ANYSERVICE_CLI_TOKEN, ANYSCALE_CLI_TOKEN, ~/.anyscale/credentials.json or a plane on this "
    "machine: `anyservice config show` says which.",
}
# What is wrong, where the server does not say it.
_PHRASES: Mapping[int, str] = {
    401: "The token is missing, wrong or expired",
    403: "The token is not allowed to do this",
}


def _kind(status: int) -> type[ApiError]:
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError
    kinds: Mapping[int, type[ApiError]] = {
        401: AuthError,
        403: AuthError,
        404: NotFoundError,
        409: ConflictError,
    }
    return kinds.get(status, RejectedError)


def _phrase(status: int) -> str:
    if status in _PHRASES:
        return _PHRASES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "No reason given"


def _text(body: bytes) -> str:
    """What the server says is wrong, from any of the shapes that servers and proxies use."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = body.decode(errors="replace")
    if isinstance(content, str):
        return "" if content.lstrip().startswith("<") else _short(content)  # a proxy's HTML page helps nobody
    if not isinstance(content, dict):
        return ""
    error = content.get("error", content)
    return _short(_detail(error) if isinstance(error, dict) else str(error))


def _detail(error: Mapping[str, Any]) -> str:
    detail, message = error.get("detail"), error.get("message")
    if isinstance(detail, str) and detail:
        return detail
    said = [str(message)] if message else []
    if isinstance(detail, list):
        said += [_loc_and_msg(item) for item in detail]
    return "; ".join(said)


def _loc_and_msg(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    where = ".".join(str(part) for part in item.get("loc") or () if part != "body")
    return f"{where}: {item.get('msg')}" if where else str(item.get("msg"))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; a date is measured against the answer's own clock."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _until(value, headers.get("date"))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(then: str, now: str | None) -> float | None:
    try:
        pause = _moment(then) - _moment(now or "")
    except (ValueError, OverflowError):
        return None
    return max(0.0, pause.total_seconds())


def _moment(text: str) -> datetime:
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
