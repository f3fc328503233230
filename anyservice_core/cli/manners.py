"""How a command talks: in which form, in which colours, and whether a person is there to be asked.

* stdout has the result and nothing else, so that it may be piped. stderr has the talk.
* With ``-o json`` each line of stderr is a JSON object too, errors included, so that one parser reads all.
* Who is asked, and who sees a line that moves, is a person at a terminal; scripts get plain lines, no questions.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

__all__ = [
    "Manners",
    "confirm",
    "is_watched",
    "manners",
    "plain_colors",
    "wants_json",
    "width",
    "with_output",
]

F = TypeVar("F", bound=Callable[..., Any])

FORMS: Final = ("text", "table", "json", "yaml")
_KEY: Final = "anyservice_core.cli.manners"
_COLOR: Final = {"auto": None, "always": True, "never": False}


@dataclass
class Manners:
    """What the options of this run say."""

    output: str = "text"


def manners() -> Manners:
    """The manners of the command that runs."""
    ctx = click.get_current_context(silent=True)
    found: Manners = ctx.meta.setdefault(_KEY, Manners()) if ctx else Manners()
    return found


def with_output(*forms: str) -> Callable[[F], F]:
    """``-o``, ``-j`` and ``--color``; the first of the forms is the default."""

    def choose(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value or _KEY not in ctx.meta:
            manners().output = value or forms[0]

    def decorate(function: F) -> F:
        for option in (_color, _json, _output(forms, choose)):
            function = option(function)
        return function

    return decorate


def _output(forms: Sequence[str], choose: Callable[..., None]) -> Callable[[F], F]:
    return click.option(
        "-o",
        "--output",
        type=click.Choice(forms),
        expose_value=False,
        callback=choose,
        help=f"How to print the result.  [default: {forms[0]}]",
    )


def _choose_json(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        manners().output = "json"


def _choose_color(ctx: click.Context, _: click.Parameter, value: str) -> None:
    if value != "auto":
        ctx.color = ctx.find_root().color = _COLOR[value]


_json = click.option(
    "-j",
    "--json",
    "as_json",
    is_flag=True,
    expose_value=False,
    callback=_choose_json,
    help="The same as -o json.",
)
_color = click.option(
    "--color",
    type=click.Choice([*_COLOR]),
    default="auto",
    expose_value=False,
    callback=_choose_color,
    help="Colours; `auto` is on a terminal, unless NO_COLOR is set.  [default: auto]",
)


def plain_colors(ctx: click.Context) -> None:
    """No colours where the user's environment says so (https://no-color.org)."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def wants_json(args: Sequence[str]) -> bool:
    """Whether these arguments ask for JSON, also where they cannot be understood otherwise."""
    for here, following in zip(args, [*args[1:], ""], strict=True):
        if here == "--":
            return False
        if here in {"-j", "--json", "-ojson", "--output=json"} or (
            here in {"-o", "--output"} and following == "json"
        ):
            return True
    return False


# ── a person at a terminal ──────────────────────────────────────────────────


def is_watched() -> bool:
    """Whether stderr is a terminal that can rewrite a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """How wide a table may be: as the terminal is; ``None``, as it needs to be, where stdout is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def is_asked() -> bool:
    """Whether a person is there to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> None:
    """Ask on a terminal; a script is taken at its word. Raises ``click.Abort`` for a no."""
    if not click.confirm(question, err=True):
        raise click.Abort
