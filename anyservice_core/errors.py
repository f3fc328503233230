"""Every error that this project raises, in one tree.

The tree branches by what the caller should do, not by which call failed:

    AnyserviceError                 never raised itself
    ├─ ConfigError                  your input or settings: mend them          give up
    │  └─ PlanError                 a rollout plan that cannot be run          give up
    ├─ TransportError               no answer: refused, dropped, timed out     retry
    ├─ ApiError                     an answer that says no
    │  ├─ RejectedError             4xx: mend the request                      give up
    │  │  ├─ AuthError              401, 403: the token                        give up
    │  │  ├─ NotFoundError          404, or no service of that name            give up
    │  │  └─ ConflictError          409: something is in the way               decide
    │  └─ UnavailableError          429 and 5xx; may say when to come back     retry
    ├─ DecodeError                  an answer that does not fit the model      report a bug
    ├─ WaitError                    a wait that did not reach its goal
    │  ├─ WaitTimeoutError          the deadline passed; last state seen       decide
    │  └─ WaitFailedError           a state that cannot lead to the goal       read the reason
    ├─ RolloutError                 the rollout did not end in a promotion
    │  ├─ RolledBackError           taken back: by us, a person, the platform  read the reason
    │  ├─ RolloutPausedError        held; needs a person                       decide
    │  └─ SupersededError           someone else's version took its place      give up
    └─ PlaneError                   the plane on this machine could not do it  read the log

``retryable`` is all that an adapter reads to choose between "again" and "fail now";
``exit_code`` is what the command line ends with. Every error survives pickling, since
Airflow, Prefect and Ray send them between processes.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AnyserviceError",
    "ApiError",
    "AuthError",
    "ConfigError",
    "ConflictError",
    "DecodeError",
    "NotFoundError",
    "PlanError",
    "PlaneError",
    "RejectedError",
    "RolledBackError",
    "RolloutError",
    "RolloutPausedError",
    "SupersededError",
    "TransportError",
    "UnavailableError",
    "WaitError",
    "WaitFailedError",
    "WaitTimeoutError",
]


class AnyserviceError(Exception):
    """The root of the tree. Its text is ``str(error)``; a way out follows in ``hint``."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles by its positional arguments, which loses the keywords: carry all of the state.
        return _rebuild, (type(self), self.message, self.__dict__.copy())


def _rebuild(kind: type[AnyserviceError], message: str, state: dict[str, Any]) -> AnyserviceError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class ConfigError(AnyserviceError, ValueError):
    """Input or settings that cannot work. The text names the field, the value and the way out."""

    exit_code = 2


class PlanError(ConfigError):
    """A rollout plan that cannot be run as written."""


class TransportError(AnyserviceError):
    """No answer came: connection refused, dropped or timed out.

    ``timed_out`` says that a connection was made and the answer took too long, ``refused`` that nothing listens at
    the control plane's address on this machine.
    """

    retryable = True
    exit_code = 3

    def __init__(
        self, message: str, *, hint: str | None = None, timed_out: bool = False, refused: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.timed_out = timed_out
        self.refused = refused


class ApiError(AnyserviceError):
    """The server answered, and the answer is no.

    ``status`` is the HTTP status, ``request_id`` the server's trace id where it gave one.
    """

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        status: int,
        hint: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class RejectedError(ApiError):
    """4xx: the request will not be taken as it is."""


class AuthError(RejectedError):
    """401 or 403: the token is missing, wrong, expired or not allowed to do this."""

    exit_code = 5


class NotFoundError(RejectedError):
    """404, or no service of that name."""

    exit_code = 6


class ConflictError(RejectedError):
    """409: another change is in the way."""

    exit_code = 7


class UnavailableError(ApiError):
    """429 or 5xx: the server cannot answer now. ``retry_after_s`` is the pause it asked for, if any."""

    retryable = True
    exit_code = 3


class DecodeError(AnyserviceError):
    """An answer that does not have the shape the contract gives it."""

    exit_code = 8


class WaitError(AnyserviceError):
    """A wait ended without its goal; ``state`` is the last state seen."""

    exit_code = 9

    def __init__(self, message: str, *, hint: str | None = None, state: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.state = state


class WaitTimeoutError(WaitError, TimeoutError):
    """The deadline passed."""


class WaitFailedError(WaitError):
    """A state was reached that cannot lead to the goal, so waiting on is pointless."""

    exit_code = 13


class RolloutError(AnyserviceError):
    """A rollout ended without a promotion. ``report`` holds its steps, numbers and reason."""

    exit_code = 10

    def __init__(
        self, message: str, *, hint: str | None = None, report: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.report = report or {}


class RolledBackError(RolloutError):
    """The canary was taken back; the primary version serves all traffic."""


class RolloutPausedError(RolloutError):
    """The rollout holds its present weight and needs a person."""

    exit_code = 11


class SupersededError(RolloutError):
    """Another version took the canary's place; this rollout keeps its hands off."""


class PlaneError(AnyserviceError):
    """The plane on this machine could not do it. ``log`` is the tail of the log that says why."""

    exit_code = 12

    def __init__(self, message: str, *, hint: str | None = None, log: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.log = log
