"""What goes wrong in telling Prefect of a call costs a warning in the run's log, and the call goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

__all__ = ["forgiving", "run_log"]


@contextmanager
def forgiving() -> Iterator[None]:
    """Turn any error into a warning."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        run_log().warning("Prefect did not take it, the call goes on: %s: %s", type(error).__name__, error)


def run_log() -> Any:
    """Give the log of the run, or an ordinary one outside of a run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("anyservice")
