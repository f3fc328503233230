"""`anyservice plane`: the control plane on this machine."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import click

from anyservice_core.cli.lazy import Command, Entry, LazyGroup, Sections
from anyservice_core.cli.manners import manners, with_output
from anyservice_core.cli.progress import say
from anyservice_core.cli.types import Ladder, Size, Span
from anyservice_core.errors import PlaneError
from anyservice_core.settings import state_dir

if TYPE_CHECKING:
    from anyservice_core.models import ServiceStatus

__all__ = ["DEFAULT_PORT", "ENGINES", "plane"]

# The plane's own, said again so that help does not load it; a test holds them together.
DEFAULT_PORT: Final = 8642
ENGINES: Final = ("ray", "process")


_HERE: Final = "anyservice_core.cli"
_COMMANDS: Final[Sections] = {
    "Its life": {
        "up": Entry(f"{_HERE}.plane", "Start the plane; adopt what an earlier one left running."),
        "down": Entry(f"{_HERE}.plane", "Stop the plane, every version and the router."),
        "doctor": Entry(
            f"{_HERE}.plane_care", "Say what this machine lacks to run a plane, and the way out."
        ),
        "backup": Entry(f"{_HERE}.plane_care", "Save the plane and its services to one file, while it runs."),
        "restore": Entry(f"{_HERE}.plane_care", "Make a state folder what it was when it was saved."),
    },
    "Looking": {
        "status": Entry(f"{_HERE}.plane", "Show the plane and what it runs."),
        "logs": Entry(
            f"{_HERE}.plane_logs", "Print the log of the plane, of a version or of an application."
        ),
        "dashboard": Entry(f"{_HERE}.plane", "Print a link that opens the plane's dashboard."),
        "env": Entry(f"{_HERE}.plane", "Print the lines that point other tools at this plane."),
    },
}


@click.group(cls=LazyGroup, sections=_COMMANDS, no_args_is_help=True)
def plane() -> None:
    r"""Run an Anyscale-compatible control plane on this machine.

    Every version of a service is a Ray cluster of its own, HAProxy splits the traffic by weight,
    and both outlive the plane: kill it, start it again, and users' requests never know.

    \b
      anyservice plane doctor                  is all here that it needs?
      anyservice plane up -d                   start it in the background
      eval "$(anyservice plane env)"           let other tools find it (Anyscale's own included)
      anyservice plane dashboard               print a link that opens its dashboard
      anyservice deploy -f service.yaml        deploy to it
      anyservice plane down                    stop it and everything that it runs
    """


@click.command(cls=Command)
@click.option("-d", "--detach", is_flag=True, help="Run in the background and return when it answers.")
@click.option(
    "--port",
    default=DEFAULT_PORT,
    envvar="ANYSERVICE_PLANE_PORT",
    show_default=True,
    show_envvar=True,
    help="Port of its API on 127.0.0.1; 0 takes a free one.",
)
@click.option(
    "--gateway-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port at which all services are reached, by host or by path; one below it if it is taken."
    "  [default: 8699, below the services' own]",
)
@click.option(
    "--listen", metavar="ADDRESS", help="Let other machines in at this address of this one, with TLS."
)
@click.option(
    "--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Certificate to listen with, as PEM."
)
@click.option(
    "--tls-key", type=click.Path(exists=True, dir_okay=False), help="Its key, if that is in another file."
)
@click.option("--plaintext", is_flag=True, help="Listen there without TLS: something else protects the way.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="ray",
    show_default=True,
    help="What runs new versions: a private Ray cluster each, or one light process each.",
)
@click.option(
    "--ladder",
    type=Ladder(),
    default="5,10,20,30,50,75,100",
    show_default=True,
    help="Weights in percent that a deploy without --canary-percent takes, one after the other.",
)
@click.option(
    "--ladder-hold", type=Span(), default="15s", show_default=True, help="How long it rests on each of them."
)
@click.option(
    "--rollout-limit",
    type=Span(),
    default="120m",
    show_default=True,
    help="A rollout that takes longer, by itself or held at a weight, is rolled back; 0 for no limit.",
)
@click.option(
    "--sick-canary",
    type=Span(),
    default="2m",
    show_default=True,
    help="How long a canary may be UNHEALTHY before a deploy without --canary-percent is rolled back.",
)
@click.option(
    "--least-disk",
    type=Size(),
    default="1GiB",
    show_default=True,
    help="A deploy is refused while less is free on the disk of the state folder.",
)
@click.option(
    "--least-memory",
    type=Size(),
    help="A deploy is refused while less memory is free.  [default: what a version takes to start]",
)
@click.option(
    "--version-memory",
    type=Size(),
    default="0",
    help="A version that holds more memory is ended and started again, three times at most.  [default: no limit]",
)
@click.option(
    "--durable",
    is_flag=True,
    help="Write each change to the disk before it is answered: not even a loss of power undoes it.",
)
@with_output("text", "json", "yaml")
def up(
    *,
    detach: bool,
    port: int,
    gateway_port: int,
    listen: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    plaintext: bool,
    engine: str,
    ladder: tuple[int, ...],
    ladder_hold: float,
    rollout_limit: float,
    sick_canary: float,
    least_disk: int,
    least_memory: int | None,
    version_memory: int,
    durable: bool,
) -> None:
    """Start the plane; adopt what an earlier one left running.

    In the foreground, Ctrl-C stops the plane but not the services: they go on serving, and the next
    `plane up` finds them.
    """
    from anyservice_core.plane import control, daemon, listening, telling

    if listen is None and (tls_cert or tls_key or plaintext):
        raise click.UsageError(
            "--tls-cert, --tls-key and --plaintext say how to --listen: give that as well."
        )
    settings = daemon.PlaneSettings(
        state_dir=state_dir(),
        port=port,
        gateway_port=gateway_port,
        listen=listening.Door(listen, tls_cert, tls_key, plaintext) if listen else None,
        engine=engine,
        ladder=ladder,
        ladder_hold_s=ladder_hold,
        rollout_limit_s=rollout_limit,
        sick_canary_s=sick_canary,
        least_disk=least_disk,
        least_memory=least_memory,
        version_memory=version_memory,
        durable=durable,
    )
    if detach:
        record = control.spawn(settings)
        say(f"The plane listens on {record['host']} (pid {record['pid']}, engine {engine}).")
        say('Let other tools find it with: eval "$(anyservice plane env)"')
        say("Look at it in a browser with: anyservice plane dashboard")
        if manners().output != "text":
            _show({name: record[name] for name in ("host", "pid", "engine")})
        return
    telling.log_to_stderr()
    with contextlib.suppress(KeyboardInterrupt, SystemExit):  # which is how it is told to end
        daemon.serve(settings, on_ready=lambda host: say(f"The plane listens on {host}; Ctrl-C stops it."))
    say("The plane has stopped; its services go on. `anyservice plane down` ends them.")


@click.command(cls=Command)
def down() -> None:
    """Stop the plane, every version and the router; no process of theirs is left.

    What was deployed is kept: the next `plane up` starts it again.
    """
    from anyservice_core.plane import control

    control.down(state_dir(), tell=say)
    say("Nothing runs.")


@click.command(cls=Command)
@with_output("text", "json", "yaml")
def status() -> None:
    """Show the plane and what it runs."""
    from anyservice_core.cli import render
    from anyservice_core.client import Client
    from anyservice_core.plane.router.gateway import address

    record = _record()
    with Client(record["host"], record["token"]) as client:
        services = [*client.list()]
    if manners().output == "text":
        _status_text({**record, "gateway": address(state_dir()) or ""}, services)
        return
    _show(
        {name: record[name] for name in ("host", "pid", "engine")}
        | {
            "state_dir": str(state_dir()),
            "gateway": address(state_dir()),
            "services": [render.status_fields(one) for one in services],
        }
    )


def _status_text(record: dict[str, str], services: list[ServiceStatus]) -> None:
    click.echo(f"plane    {record['host']}  pid {record['pid']}  engine {record['engine']}")
    click.echo(f"state    {state_dir()}")
    if services and record["gateway"]:
        click.echo(f"gateway  {record['gateway']}/<service>/")
    for service in services:
        click.echo(f"service  {service.name}  {service.state}  {service.query_url}")
        for role in ("primary", "canary"):
            version = getattr(service, f"{role}_version")
            if version:
                click.echo(f"  {role:8}{version.name}  {version.state}  {version.weight}%")


@click.command(cls=Command)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser too.")
@with_output("text", "json", "yaml")
def dashboard(*, opens: bool) -> None:
    """Print a link that opens the plane's dashboard.

    It logs one browser in, once, within five minutes; the plane's token is not in it.
    """
    from anyservice_core.plane.dashboard.link import login_link

    link = login_link(_record())
    if manners().output == "text":
        click.echo(link)
    else:
        _show({"link": link})
    if opens and click.launch(link):
        raise PlaneError("no browser could be started.", hint="Open the link yourself.")


@click.command(cls=Command)
@with_output("text", "json", "yaml")
def env() -> None:
    """Print the lines that point other tools, Anyscale's own included, at this plane."""
    record = _record()
    variables = {"ANYSCALE_HOST": record["host"], "ANYSCALE_CLI_TOKEN": record["token"]}
    if manners().output != "text":
        _show(variables)
        return
    for name, value in variables.items():
        click.echo(f"export {name}={value}")


def _record() -> dict[str, str]:
    from anyservice_core.plane import control

    record = control.read_record(state_dir())
    if record is None:
        raise PlaneError(f"no plane runs on {state_dir()}.", hint="Start one with `anyservice plane up -d`.")
    return record


def _show(content: Any) -> None:
    from anyservice_core.cli import render

    render.show(content)
