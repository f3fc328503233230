"""``anyservice status wait rollback terminate list archive delete``."""

from __future__ import annotations

from typing import Any

import click

from anyservice_core.cli.options import cloud, connected, host, json_flag, project, say, which, with_target

__all__ = ["archive", "delete", "list_command", "rollback", "status", "terminate", "wait"]

_OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="How to show it.",
)
_STATES = "STARTING, RUNNING, UPDATING, ROLLING_OUT, ROLLING_BACK, UNHEALTHY, TERMINATING, TERMINATED, UNKNOWN, SYSTEM_FAILURE"


@click.command()
@with_target
@_OUTPUT
@json_flag
@click.option("-v", "--verbose", is_flag=True, help="Each version's config too, and the query token.")
def status(output: str, as_json: bool, verbose: bool, **given: Any) -> None:
    r"""Show a service and its versions, with their weights.

    \b
      anyservice status recommender
      anyservice status -n recommender -o json | jq -r .primary_version.name
    """
    from anyservice_core.cli import render

    wanted = which(given)
    with connected(given.pop("host")) as client:
        found = client.status(**wanted)
    render.show_status(found, "json" if as_json else output, verbose=verbose)


@click.command()
@with_target
@click.option(
    "-s",
    "--state",
    default=("RUNNING",),
    multiple=True,
    show_default=True,
    help=f"One of {_STATES}. Repeatable: any will do.",
)
@click.option("--version", help="Wait for this version, by name or id, to be healthy as the primary one.")
@click.option(
    "--canary-weight",
    type=int,
    help="Wait for the canary (or --version) to be healthy at this percent of the traffic.",
)
@click.option(
    "-t", "--timeout-s", type=float, default=600.0, show_default=True, help="Seconds to wait at most."
)
@click.option(
    "--poll-interval-s", type=float, default=2.0, show_default=True, help="Seconds between two looks."
)
def wait(state: tuple[str, ...], **given: Any) -> None:
    r"""Wait for a service to reach a state, and stop early when it cannot.

    \b
      anyservice wait recommender
      anyservice wait recommender --version v2 --canary-weight 10 -t 900
      anyservice wait recommender -s TERMINATED
    """
    wanted = which(given)
    with connected(given.pop("host")) as client:
        reached = client.wait(**wanted, state=state, **given)
    say(f"{reached.name} is {reached.state}.")


@click.command()
@with_target
@click.option(
    "--max-surge-percent", type=int, help="Excess capacity allowed meanwhile, 0 to 100. [default: 100]"
)
def rollback(**given: Any) -> None:
    r"""Cancel the rollout under way; the primary version gets all the traffic back.

    \b
      anyservice rollback recommender
    """
    wanted = which(given)
    with connected(given.pop("host")) as client:
        done = client.rollback(**wanted, **given)
    say(f"Rolling back {done}.")


@click.command()
@with_target
def terminate(**given: Any) -> None:
    r"""Stop a service, all versions of it.

    \b
      anyservice terminate recommender
      anyservice wait recommender -s TERMINATED
    """
    wanted = which(given)
    with connected(given.pop("host")) as client:
        done = client.terminate(**wanted)
    say(f"Terminating {done}.")


@click.command()
@with_target
def archive(**given: Any) -> None:
    r"""Hide a terminated service from lists and from lookups by name.

    \b
      anyservice archive recommender
    """
    wanted = which(given)
    with connected(given.pop("host")) as client:
        done = client.archive(**wanted)
    say(f"Archived {done}.")


@click.command()
@with_target
def delete(**given: Any) -> None:
    r"""Remove a terminated service for good, an archived one too.

    \b
      anyservice delete recommender
    """
    wanted = which(given)
    with connected(given.pop("host")) as client:
        done = client.delete(**wanted)
    say(f"Deleted {done}.")


@click.command("list")
@click.option("--id", "--service-id", "service_id", help="Only the service with this id.")
@click.option("-n", "--name", help="Only services whose name contains this.")
@host
@cloud
@project
@click.option("--created-by-me", is_flag=True, help="Only services that you created.")
@click.option(
    "-s", "--state", "state_filter", multiple=True, help=f"Only this state; repeatable. One of {_STATES}."
)
@click.option("--include-archived", is_flag=True, help="Archived services too.")
@click.option("--max-items", type=int, help="At most so many. [default: all]")
@click.option("--page-size", type=int, help="Services a request, at most 50. [default: 50]")
@click.option("--interactive/--no-interactive", default=False, hidden=True)
@click.option("--sort", help="STATUS, NAME or CREATED_AT; a '-' before it turns the order around.")
@click.option("-v", "--verbose", is_flag=True, help="Each version's config in the JSON.")
@_OUTPUT
@json_flag
def list_command(sort: str | None, output: str, as_json: bool, verbose: bool, **given: Any) -> None:
    r"""List services.

    \b
      anyservice list --state running --sort -created_at
      anyservice list -j | jq -r '.[].name'
    """
    from anyservice_core.cli import render

    del given["interactive"]
    with connected(given.pop("host")) as client:
        found = [*client.list(**given, **_sorting(sort))]
    if as_json or output != "text":
        render.show(
            [render.status_fields(one, verbose=verbose) for one in found], "json" if as_json else output
        )
    else:
        render.show_table(found)


def _sorting(sort: str | None) -> dict[str, Any]:
    if not sort:
        return {}
    return {"sort_field": sort.removeprefix("-"), "sort_order": "DESC" if sort.startswith("-") else "ASC"}
