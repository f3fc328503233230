"""``anyservice rollout backtest``: what a plan would have made of the past."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import manners, with_output
from anyservice_core.cli.options import (
    cloud,
    config_path,
    connected,
    connection,
    name_in,
    project,
    service_names,
)

if TYPE_CHECKING:
    from anyservice_core.rollout.replay import Backtest, Point, Track

__all__ = ["backtest"]

_NONE: Final = "none"  # without a service only metric stores are asked, so whoever has no token needs none


@click.command(cls=Command)
@click.option("-p", "--plan", required=True, help="YAML file of the plan.")
@click.option(
    "--canary", required=True, help="Id of the version to be judged; its name, where queries go by names."
)
@click.option("--primary", required=True, help="Id, or name, of the version beside it.")
@click.option(
    "--from", "start", required=True, help="When to begin: 2026-11-27T14:00 (UTC), or how long ago, as 2h."
)
@click.option("--to", "end", default="now", show_default=True, help="When to end, likewise.")
@click.option(
    "--step-weights", is_flag=True, help="Walk through the plan's steps, instead of one step that lasts."
)
@click.option(
    "--service", shell_complete=service_names, help="Name of the service, where queries need to know it."
)
@click.option(
    "-f", "--config-file", type=click.Path(), help="The service's YAML config, to take its name from."
)
@click.option(
    "--canary-name", help="The canary's name, where queries go by both and the service knows it no more."
)
@click.option("--primary-name", help="The primary's name, likewise.")
@click.option(
    "--max-queries",
    type=click.IntRange(min=1),
    default=5_000,
    show_default=True,
    help="How often stores may be asked.",
)
@click.option("--html", type=click.Path(dir_okay=False), help="File for the report as a page, with charts.")
@cloud
@project
@connection
@with_output("text", "json", "yaml")
def backtest(
    *,
    plan: str,
    html: str | None,
    service: str | None,
    config_file: str | None,
    link: dict[str, Any],
    **options: Any,
) -> None:
    r"""Ask what a plan would have made of the past. Nothing is done to the service.

    The plan's judge is run on what the metric store knows of two versions that served side by side: an earlier
    rollout, or two versions at steady weights. Metrics that know only the present, approvals and windows are left
    out, and named. The exit code is 0 whatever would have come of it.

    \b
      anyservice rollout backtest -p rollout.yaml --canary srv_new --primary srv_old --from 3h --to 1h
      anyservice rollout backtest -p rollout.yaml --canary srv_new --primary srv_old --from 1d --html page.html
    """
    from anyservice_core.cli import render

    named = _service(service, config_file)
    needed: dict[str, Any] = {} if named else {"token": _NONE}
    with connected(link, **needed) as client:
        found = client.backtest(plan, service=named, **options)
    if html is not None:
        _write(Path(html), found)
    if manners().output != "text":
        render.show(found.to_dict())
        return
    for line in _lines(found):
        click.echo(line)


def _service(service: str | None, config_file: str | None) -> str | None:
    named = name_in(config_path(config_file)) if config_file is not None else service
    if service not in {None, named}:
        raise click.UsageError(f"--service says {service}, and {config_file} says {named}.")
    return named


def _write(path: Path, found: Backtest) -> None:
    from anyservice_core.rollout.page import page

    try:
        path.write_text(page(found.report, found.events, note=found.note), encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--html: cannot write {path}: {error.strerror}.") from None


def _lines(found: Backtest) -> Iterator[str]:
    from anyservice_core.rollout.facts import clean, headline

    for track in found.tracks:
        yield clean(f"{track.metric}: {', '.join(_turns(track, found)) or 'was never decided'}")
        yield clean(f"    {_telling(track).message}")
    for missing in found.left_out:
        yield f"left out: {clean(missing)}"
    yield f"asked the metric stores {found.queries} times"
    yield clean(headline(found.report))


def _telling(track: Track) -> Point:
    """The measurement that failed it, else the last."""
    return next((point for point in track.points if point.at == track.failed_at), track.points[-1])


def _turns(track: Track, found: Backtest) -> Iterator[str]:
    """What it said first, and when; what it said then."""
    from anyservice_core.rollout.duration import format_duration
    from anyservice_core.rollout.facts import moment

    said = {"passed": track.passed_at, "failed": track.failed_at}
    for at, what in sorted((at, what) for what, at in said.items() if at is not None):
        yield f"{what} after {format_duration(at - found.start)}, at {moment(at)}"
