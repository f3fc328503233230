"""`anyservice plane`: the control plane on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import click

from anyservice_core.errors import PlaneError
from anyservice_core.plane.daemon import DEFAULT_PORT, ENGINES, PlaneSettings
from anyservice_core.settings import state_dir

__all__ = ["plane"]


@click.group(no_args_is_help=True)
def plane() -> None:
    r"""Run an Anyscale-compatible control plane on this machine.

    Every version of a service is a Ray cluster of its own, HAProxy splits the traffic by weight,
    and both outlive the plane: kill it, start it again, and users' requests never know.

    \b
      anyservice plane up -d                   start it in the background
      eval "$(anyservice plane env)"           let other tools find it (Anyscale's own included)
      anyservice deploy -f service.yaml        deploy to it
      anyservice plane down                    stop it and everything that it runs
    """


@plane.command()
@click.option("-d", "--detach", is_flag=True, help="Run in the background and return when it answers.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, help="Port of its API on 127.0.0.1.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="ray",
    show_default=True,
    help="What runs new versions: a private Ray cluster each, or one light process each.",
)
@click.option(
    "--ladder-hold-s",
    default=15.0,
    show_default=True,
    help="Seconds that a deploy without --canary-percent rests on each rung of 5-10-20-30-50-75-100 %.",
)
def up(detach: bool, port: int, engine: str, ladder_hold_s: float) -> None:
    """Start the plane; adopt what an earlier one left running.

    In the foreground, Ctrl-C stops the plane but not the services: they go on serving, and the next
    `plane up` finds them.
    """
    from anyservice_core.plane import control, daemon

    settings = PlaneSettings(state_dir=state_dir(), port=port, engine=engine, ladder_hold_s=ladder_hold_s)
    if detach:
        record = control.spawn(settings)
        _say(f"The plane listens on {record['host']} (pid {record['pid']}, engine {engine}).")
        _say('Let other tools find it with: eval "$(anyservice plane env)"')
        return
    daemon.serve(settings, on_ready=lambda host: _say(f"The plane listens on {host}; Ctrl-C stops it."))
    _say("The plane has stopped; its services go on. `anyservice plane down` ends them.")


@plane.command()
def down() -> None:
    """Stop the plane, every version and the router; no process of theirs is left.

    What was deployed is kept: the next `plane up` starts it again.
    """
    from anyservice_core.plane import control

    control.down(state_dir(), tell=_say)
    _say("Nothing runs.")


@plane.command()
def status() -> None:
    """Show the plane and what it runs."""
    from anyservice_core.client import Client

    record = _record()
    click.echo(f"plane    {record['host']}  pid {record['pid']}  engine {record['engine']}")
    click.echo(f"state    {state_dir()}")
    with Client(record["host"], record["token"]) as client:
        for service in client.list():
            click.echo(f"service  {service.name}  {service.state}  {service.query_url}")
            for role in ("primary", "canary"):
                version = getattr(service, f"{role}_version")
                if version:
                    click.echo(f"  {role:8}{version.name}  {version.state}  {version.weight} %")


@plane.command()
def env() -> None:
    """Print the lines that point other tools, Anyscale's own included, at this plane."""
    record = _record()
    click.echo(f"export ANYSCALE_HOST={record['host']}")
    click.echo(f"export ANYSCALE_CLI_TOKEN={record['token']}")


@plane.command()
@click.option("-f", "--follow", is_flag=True, help="Go on printing as more is written.")
@click.option("-n", "--lines", default=50, show_default=True, help="How many lines from the end.")
@click.option("-v", "--version", help="Id or name of a version; without it, the plane's own log.")
def logs(follow: bool, lines: int, version: str | None) -> None:
    """Print the log of the plane, or of a version's host."""
    path = _version_log(version) if version else state_dir() / "plane.log"
    if not path.exists():
        raise PlaneError(f"there is no log at {path}.")
    tail = shutil.which("tail")
    if tail is None:
        click.echo(path.read_text(errors="replace"))
        return
    subprocess.run([tail, f"-n{lines}", *(["-f"] if follow else []), str(path)], check=False)


def _version_log(version: str) -> Path:
    """Find the log of a version by its id, or by its name among what the store knows."""
    from anyservice_core.plane.store import Store

    hosts = state_dir() / "hosts"
    if (hosts / version).is_dir():
        return hosts / version / "host.log"
    store = Store(state_dir() / "plane.db")
    ids = [v.id for service in store.services() for v in service.versions if v.name == version]
    store.close()
    if not ids:
        raise PlaneError(f"no version '{version}'.", hint="`anyservice plane status` shows them.")
    return hosts / ids[-1] / "host.log"


def _record() -> dict[str, str]:
    from anyservice_core.plane import control

    record = control.read_record(state_dir())
    if record is None:
        raise PlaneError(f"no plane runs on {state_dir()}.", hint="Start one with `anyservice plane up -d`.")
    return record


def _say(text: str) -> None:
    click.echo(text, err=True, color=None if os.isatty(2) else False)
