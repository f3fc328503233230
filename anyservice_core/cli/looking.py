"""``anyservice status`` and ``anyservice wait``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import manners, with_output
from anyservice_core.cli.options import Target, connected, with_target
from anyservice_core.cli.progress import passed, say, what_is
from anyservice_core.cli.types import PERCENT, STATE, STATES

if TYPE_CHECKING:
    from anyservice_core.client import Client

__all__ = ["status", "wait"]


@click.command(cls=Command)
@with_target
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Each version's config too, the query token, and the checklist where the server keeps one.",
)
@with_output("text", "table", "json", "yaml")
def status(*, link: dict[str, Any], verbose: bool, **given: Any) -> None:
    r"""Show a service and its versions, with their weights.

    \b
      anyservice status recommender
      anyservice status -n recommender -o json | jq -r .primary_version.name
    """
    from anyservice_core.cli import render

    target = Target(given)
    with connected(link) as client:
        fields = None if verbose else _at_once(client, target)
        if fields is None:
            fields = render.status_fields(client.status(**target.arguments()), verbose=verbose)
    render.show_status(fields, verbose=verbose)


def _at_once(client: Client, target: Target) -> dict[str, Any] | None:
    """The status, where that can be had without the models, which take their time to load."""
    from anyservice_core.operations import quick

    ours = client.settings
    where = (target.cloud, target.project, ours.cloud, ours.project, ours.workspace)
    return None if any(where) else client.run(quick.status(target.name, id=target.id))


@click.command(cls=Command)
@with_target
@click.option(
    "-s",
    "--state",
    type=STATE,
    metavar="STATE",
    default=("RUNNING",),
    multiple=True,
    help=f"One of {', '.join(STATES)}, in any case. Repeatable: any of them will do.  [default: RUNNING]",
)
@click.option("--version", help="Wait for this version, by name or id, to be healthy as the primary one.")
@click.option(
    "--canary-weight",
    type=PERCENT,
    help="Wait for the canary (or --version) to be healthy at this percent of the traffic.",
)
@click.option(
    "-t", "--timeout-s", type=float, default=600.0, show_default=True, help="Seconds to wait at most."
)
@click.option(
    "--poll-interval-s", type=float, default=2.0, show_default=True, help="Seconds between two looks."
)
@with_output("text", "table", "json", "yaml")
def wait(*, link: dict[str, Any], state: tuple[str, ...], **given: Any) -> None:
    r"""Wait for a service to reach a state, and stop early when it cannot.

    Text prints nothing on stdout; the other forms print the status that was waited for.

    \b
      anyservice wait recommender
      anyservice wait recommender --version v2 --canary-weight 10 -t 900
      anyservice wait recommender -s TERMINATED
    """
    from anyservice_core.cli import render

    target = Target(given)
    began = time.monotonic()
    with connected(link) as client:
        reached = client.wait(**target.arguments(), state=state, **given)
    say(f"{what_is(reached)}  after {passed(time.monotonic() - began)}")
    if manners().output != "text":
        render.show_status(render.status_fields(reached))
