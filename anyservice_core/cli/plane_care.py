"""`anyservice plane backup`, `restore` and `doctor`: what keeps a plane in good health."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import manners, with_output
from anyservice_core.cli.plane import DEFAULT_PORT, ENGINES
from anyservice_core.cli.progress import say
from anyservice_core.errors import PlaneError
from anyservice_core.settings import state_dir

if TYPE_CHECKING:
    from anyservice_core.plane.backup import Backup
    from anyservice_core.plane.doctor.finding import Finding

__all__ = ["backup", "doctor", "restore"]

_COLOURS: Final = {"ok": "green", "warning": "yellow", "problem": "red"}
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("file", type=_FILE)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Even if there is such a file already; it is replaced when the new one is whole.",
)
@with_output("text", "json", "yaml")
def backup(*, file: Path, overwrite: bool) -> None:
    r"""Save the plane and all of its services to FILE, while it runs.

    In it are: services, versions, weights, events and traffic totals as of one moment; the uploads that the services
    run; their query tokens; and the plane's own token. It is written with mode 0600: whoever can read it has all
    that a client may do. Not in it are: logs, and what is made again, such as installed requirements.

    \b
      anyservice plane backup plane.backup
      anyservice plane backup --overwrite /backups/plane.backup      each night, from cron
      ANYSERVICE_STATE_DIR=/srv/plane anyservice plane restore plane.backup
    """
    from anyservice_core.plane import backup as saving

    saved = saving.backup(state_dir(), file, overwrite=overwrite)
    if manners().output != "text":
        _show(saved.to_dict())
        return
    click.echo(f"Saved {_counted(saved)} to {file} ({_size(saved.size)}).")
    say("There are tokens in it; it is for your eyes only (mode 0600).")
    _tell_outside(saved)


@click.command(cls=Command)
@click.argument("file", type=_FILE)
@click.option(
    "--replace",
    is_flag=True,
    help="Even if there are services already; they are put aside, in the state folder.",
)
@click.option(
    "--new-token",
    is_flag=True,
    help="Give the plane another token, should the one in FILE be known to others.",
)
@with_output("text", "json", "yaml")
def restore(*, file: Path, replace: bool, new_token: bool) -> None:
    r"""Make the state folder what it was when FILE was saved.

    The next `plane up` starts the services again, at the addresses and with the query tokens that they had. Tokens
    of clients hold, unless --new-token is given. FILE is checked whole before anything is touched.

    It is refused while a plane runs on the folder, or anything that one left, and where there are services already.

    \b
      anyservice plane down                                 if it runs
      anyservice plane restore plane.backup
      anyservice plane up -d
    """
    from anyservice_core.plane import backup as saving

    found = saving.restore(file, state_dir(), replace=replace, new_token=new_token)
    if manners().output != "text":
        _show(found.to_dict())
        return
    click.echo(f"Restored {_counted(found)} to {state_dir()}, as of {found.made_at}.")
    for name, url in found.urls.items():
        click.echo(f"  {name}  {url}")
    if found.aside:
        say(f"What was there before is in {found.aside}.")
    _tell_outside(found)
    say(f"Start it with: anyservice plane up -d{_port(found.host)}")


@click.command(cls=Command)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    envvar="ANYSERVICE_PLANE_PORT",
    show_default=True,
    show_envvar=True,
    help="Port that its API is to have.",
)
@click.option(
    "--engine", type=click.Choice(ENGINES), default="ray", show_default=True, help="What is to run versions."
)
@with_output("text", "json", "yaml")
def doctor(*, port: int, engine: str) -> None:
    r"""Say what this machine lacks to run a plane, and the way out of each.

    Looks at what is installed, the state folder, the store, ports, disk, memory, limits and the clock, and changes
    nothing. It ends with exit code 12 if there is a problem; warnings alone are no reason for that.

    \b
      anyservice plane doctor
      anyservice plane doctor --engine process --port 9000      as it is to be run
      anyservice plane doctor -o json                           for a program
    """
    from anyservice_core.plane.doctor.examine import examine
    from anyservice_core.plane.doctor.finding import Case

    findings = examine(Case(state_dir(), port, engine))
    problems = sum(finding.level == "problem" for finding in findings)
    if manners().output == "text":
        for finding in findings:
            _tell(finding)
    else:
        _show({"ok": not problems, "findings": [finding.to_dict() for finding in findings]})
    if problems:
        raise PlaneError(f"{_many(problems, 'problem')} found.")


def _tell(finding: Finding) -> None:
    mark = click.style(f"{finding.level:8}", fg=_COLOURS[finding.level])
    click.echo(f"{mark} {finding.name:13} {finding.message}")
    if finding.way_out:
        click.echo(f"{'':22} → {finding.way_out}")


def _counted(found: Backup) -> str:
    return f"{_many(len(found.urls), 'service')} with {_many(found.bundles, 'upload')}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _tell_outside(found: Backup) -> None:
    for uri in found.outside:
        say(f"Not in it, since it never was the plane's: {uri}")


def _port(host: str | None) -> str:
    """Say which port it had, so that clients' settings hold."""
    port = (host or "").rpartition(":")[2]
    return f" --port {port}" if port.isdigit() and int(port) != DEFAULT_PORT else ""


def _show(content: Any) -> None:
    from anyservice_core.cli import render

    render.show(content)
