"""``anyservice list``: all at once for pipes and programs, a screen at a time for people."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import is_asked, manners, with_output
from anyservice_core.cli.options import cloud, connected, connection, pairs, project, service_names
from anyservice_core.cli.types import SORT, SORTS, STATE, STATES

if TYPE_CHECKING:
    from anyservice_core.models import ServiceStatus

__all__ = ["list_command"]

_MOST: Final = 50


@click.command("list", cls=Command)
@click.option("--id", "--service-id", "service_id", help="Only the service with this id.")
@click.option("-n", "--name", shell_complete=service_names, help="Only services whose name contains this.")
@cloud
@project
@click.option("--created-by-me", is_flag=True, help="Only services that you created.")
@click.option(
    "-s",
    "--state",
    "state_filter",
    type=STATE,
    metavar="STATE",
    multiple=True,
    help=f"Only services in this state: {', '.join(STATES)}, in any case. Repeatable.",
)
@click.option(
    "--tag",
    "tags",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only services with this tag. Repeatable: of one key any value will do, of several keys each must fit.",
)
@click.option("--include-archived", is_flag=True, help="Archived services too.")
@click.option(
    "--max-items", type=click.IntRange(min=0), help="At most so many; not with --interactive.  [default: all]"
)
@click.option(
    "--page-size",
    type=click.IntRange(1, _MOST),
    help=f"Services a request, at most {_MOST}; with --interactive, as many as fit the screen.  [default: {_MOST}]",
)
@click.option(
    "--interactive/--no-interactive",
    default=None,
    help="Show a page and ask before the next.  [default: on a terminal, for a table without --max-items]",
)
@click.option(
    "--sort",
    type=SORT,
    metavar="FIELD",
    help=f"{', '.join(SORTS)}, in any case; a '-' before it turns the order around.",
)
@click.option("-v", "--verbose", is_flag=True, help="Each version's config too, in JSON and YAML.")
@connection
@with_output("table", "text", "json", "yaml")
def list_command(
    *,
    link: dict[str, Any],
    sort: str | None,
    interactive: bool | None,
    page_size: int | None,
    verbose: bool,
    tags: tuple[str, ...],
    **given: Any,
) -> None:
    r"""List services. Text is their names, one a line.

    \b
      anyservice list --state running --sort -created_at
      anyservice list -j | jq -r '.[].query_url'
    """
    paged = _is_paged(interactive, given["max_items"])
    size = page_size or (_screenful() if paged else None)
    with connected(link) as client:
        found = client.list(**given, tags_filter=_by_key(tags), page_size=size, **_sorting(sort))
        if paged:
            _page_through(found, size or _MOST)
        else:
            _show([*found], verbose=verbose)


def _by_key(tags: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for tag in tags:
        for key, value in pairs("--tag", [tag]).items():
            found.setdefault(key, []).append(value)
    return found


def _is_paged(wanted: bool | None, max_items: int | None) -> bool:
    if wanted and max_items is not None:
        raise click.UsageError("--max-items goes with --no-interactive.")
    if wanted is not None:
        return wanted and manners().output == "table" and is_asked()
    return max_items is None and manners().output == "table" and is_asked() and sys.stdout.isatty()


def _screenful() -> int:
    return min(max(shutil.get_terminal_size().lines - 3, 1), _MOST)


def _show(found: list[ServiceStatus], *, verbose: bool = False) -> None:
    from anyservice_core.cli import render

    if not found and manners().output == "table":
        click.echo("No services.", err=True)
    render.show_services(found, verbose=verbose)


def _page_through(found: Iterator[ServiceStatus], size: int) -> None:
    """The next page is fetched only when it is asked for."""
    _show([*itertools.islice(found, size)])
    while (following := next(found, None)) is not None:
        if not _goes_on():
            return
        _show([following, *itertools.islice(found, size - 1)])


def _goes_on() -> bool:
    """Ask with one key. The terminal gives keys as they come before the question is there, so that none is lost."""
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0, termios.TCSADRAIN)
        click.echo(click.style("any key for more, q to stop", dim=True), nl=False, err=True)
        return os.read(0, 1) not in {b"q", b"Q", b"\x1b", b""}
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        click.echo("\r\x1b[2K", nl=False, err=True)


def _sorting(sort: str | None) -> dict[str, Any]:
    if not sort:
        return {}
    return {"sort_field": sort.removeprefix("-"), "sort_order": "DESC" if sort.startswith("-") else "ASC"}
