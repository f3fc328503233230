"""Sending a deploy once, although answers get lost.

``PUT apply`` has no idempotency key, and a server that gets it twice may start two versions. So it is never sent
again blindly: when no answer came, or one that cannot be read, the service is read first, and ``arrival`` judges. What
has arrived is taken for the answer; only a service that nothing has happened to is asked once more; and where
something else has happened, the caller is told and decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

from anyservice_core.effects import Op, Report, Request, Sleep
from anyservice_core.errors import (
    AnyserviceError,
    ConflictError,
    DecodeError,
    TransportError,
    UnavailableError,
)
from anyservice_core.models.wire import ApplyService, ServiceWire
from anyservice_core.operations.arrival import Arrived, Changed, judge
from anyservice_core.operations.sending import ATTEMPTS, LONGEST_RETRY_AFTER_S, Retrying, send

__all__ = ["APPLY", "Adopted", "apply", "write"]

APPLY = "/api/v2/services-v2/apply"
SETTLE_S = 2.5

Reread: TypeAlias = Callable[[], Op[ServiceWire | None]]


@dataclass(frozen=True, slots=True)
class Adopted:
    """The version was there already, so it was not sent again."""

    service: str
    version: str

    def __str__(self) -> str:
        return f"{self.service}: version {self.version} is there already, nothing sent"


def write(body: ApplyService) -> Request:
    """The one request that makes ``body`` so."""
    return Request("PUT", APPLY, json=body.body(), idempotent=False)


def apply(body: ApplyService, before: ServiceWire | None, reread: Reread) -> Op[ServiceWire]:
    """Send ``body`` and give back the service; ``reread`` finds it again after a lost answer.

    Raises ``ConflictError`` where the service has changed meanwhile and ours is not there.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return (yield from send(write(body), ServiceWire))
        except (TransportError, UnavailableError, DecodeError, ConflictError) as error:
            if not _may_have_arrived(error, attempt):
                raise
            landed = yield from _look(body, before, reread, error, attempt)
            if landed is not None:
                return landed
            if attempt == ATTEMPTS:
                raise


def _may_have_arrived(error: AnyserviceError, attempt: int) -> bool:
    """A 429 says that nothing was done, and was waited for. A conflict may be with what we sent ourselves before."""
    if isinstance(error, ConflictError):
        return attempt > 1
    return getattr(error, "status", None) != HTTPStatus.TOO_MANY_REQUESTS


def _look(
    body: ApplyService, before: ServiceWire | None, reread: Reread, error: AnyserviceError, attempt: int
) -> Op[ServiceWire | None]:
    """The service if ``body`` has arrived, ``None`` if it may be sent again."""
    if not isinstance(error, ConflictError):
        yield from Report(Retrying("The deploy", error.message, attempt))
        # What was sent may still be at work: looked at too soon, it is not there yet, and is sent twice.
        asked, settled = getattr(error, "retry_after_s", None) or 0.0, SETTLE_S * attempt
        pause = min(max(settled, asked), LONGEST_RETRY_AFTER_S)
        yield from Sleep(
            pause, jitter=0.2 if asked <= settled * 0.8 else 0.0
        )  # never less than was asked for
    now = yield from reread()
    found = judge(body, before, now)
    if isinstance(found, Arrived):
        yield from Report(Adopted(body.name, found.version.version))
        return now
    if isinstance(error, DecodeError | ConflictError):  # it was answered: yes, or no
        raise error
    if isinstance(found, Changed):
        raise _changed(body.name, found) from error
    return None


def _changed(name: str, found: Changed) -> ConflictError:
    return ConflictError(
        f"The answer to the deploy of {name!r} was lost, and meanwhile {found.what}, so it was not sent again.",
        status=409,
        hint="Look at the service, and deploy again if that is still wanted.",
    )
