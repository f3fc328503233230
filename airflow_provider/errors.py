"""Our error tree in Airflow's terms: fail now where trying again is no use, else let ``retries`` decide.

An error that happens in the triggerer travels to the worker as the payload of an event, which is plain
JSON, and is raised there as if it had happened there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from anyservice_core import AnyserviceError, AuthError

__all__ = ["GRACE_S", "AgainError", "airflow_errors", "failure", "result_of", "said", "success"]

# A trigger ends by itself at its deadline. Airflow's own time-out, a good while later, is for a triggerer
# that is gone: it ends the task without a word from the trigger.
GRACE_S = 300.0


class AgainError(AirflowException):
    """What went wrong in the triggerer, and may be well at another try.

    ``retry_after_s`` is the pause that the server has asked for, if any, in seconds.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turn an error that trying again cannot mend into ``AirflowFailException``; others pass."""
    try:
        yield
    except AnyserviceError as error:
        if error.retryable:
            raise
        raise AirflowFailException(said(error)) from None


def said(error: AnyserviceError) -> str:
    """The error for people who look at a task: its token is in a connection, wherever else tokens may be."""
    if isinstance(error, AuthError):
        return f"{error.message} In Airflow it is the API token (password) of the task's connection, its conn_id."
    return str(error)


def success(result: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a good end, as an event's payload."""
    return {"status": "success", "result": dict(result)}


def failure(error: AnyserviceError) -> dict[str, Any]:
    """Describe a bad end, as an event's payload."""
    return {
        "status": "error",
        "error": type(error).__name__,
        "message": said(error),
        "retryable": error.retryable,
        "retry_after_s": getattr(error, "retry_after_s", None),
        "report": getattr(error, "report", None),
    }


def result_of(event: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give the result of an event that came back from a trigger, or raise the error that it carries.

    Raises:
        AirflowFailException: trying again is no use.
        AgainError: it may be of use.
        AirflowException: the event is not one of ours.
    """
    kind = event.get("status") if isinstance(event, Mapping) else None
    if event is None or kind not in {"success", "error"}:
        raise AirflowException(f"The trigger came back with an event that is not one of its own: {event!r}.")
    if kind == "success":
        return dict(event["result"])
    if event["retryable"]:
        raise AgainError(event["message"], event.get("retry_after_s"))
    raise AirflowFailException(event["message"])
