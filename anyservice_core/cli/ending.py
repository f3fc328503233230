"""``anyservice shift rollback terminate archive delete``: each changes a running service, and prints its id.

``terminate`` and ``delete`` ask first on a terminal. A script is taken at its word: the reference's commands never
ask, so that scripts written for them would hang or fail otherwise; and ``delete`` can only remove what was terminated
before, so it takes nobody's traffic away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import confirm, is_asked, with_output
from anyservice_core.cli.options import Target, connected, with_target
from anyservice_core.cli.progress import say, what_is
from anyservice_core.cli.types import PERCENT

if TYPE_CHECKING:
    from anyservice_core.client import Client

__all__ = ["archive", "delete", "rollback", "shift", "terminate"]

_surge = click.option(
    "--max-surge-percent",
    type=PERCENT,
    help="Excess capacity allowed meanwhile, in percent.  [default: 100]",
)
_yes = click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nothing is ever asked.")
_output: Final = with_output("text", "table", "json", "yaml")


def _change(link: dict[str, Any], target: Target, word: str, call: Callable[[Client], str]) -> None:
    """Do it, say so on stderr, and print the id."""
    from anyservice_core.cli import render

    with connected(link) as client:
        done = call(client)
    say(f"{word} {target}.")
    render.show_id({"id": str(done), **({"name": target.name} if target.name else {})})


def _certain(
    client: Client, target: Target, verb: str, *, yes: bool, archived: bool = False
) -> dict[str, Any]:
    """What to end. A person is shown which one it is, and on which control plane, and that one it will be."""
    if yes or not is_asked():
        return target.arguments()
    found = _found(client, target, archived=archived)
    confirm(f"{verb} {found['shown']}, on {client.settings.host}?")
    return {"id": found["id"]}


def _found(client: Client, target: Target, *, archived: bool) -> dict[str, str]:
    from anyservice_core.operations.lookup import locate

    if not archived:
        status = client.status(**target.arguments())
        name, _, state = what_is(status).partition(" ")
        return {"id": status.id, "shown": f"{name} ({state.replace('  ', ', ')})"}
    # A service that is archived is found in no other way.
    wire = client.run(locate(target.name, target.id, target.cloud, target.project, archived=True))
    return {"id": wire.id, "shown": f"{wire.name} ({wire.id}) for good"}


@click.command(cls=Command)
@with_target
@click.option(
    "--canary-percent",
    type=PERCENT,
    required=True,
    help="The canary's share of the traffic; 100 promotes it.",
)
@_output
def shift(*, link: dict[str, Any], canary_percent: int, **given: Any) -> None:
    r"""Move the weight of the canary. Nothing local is sent, no config is needed.

    \b
      anyservice shift recommender --canary-percent 50
      anyservice wait recommender --canary-weight 50
    """
    target = Target(given)
    word = f"Moving the canary to {canary_percent}% of the traffic of"
    _change(
        link,
        target,
        word,
        lambda client: client.shift(**target.arguments(), canary_percent=canary_percent),
    )


@click.command(cls=Command)
@with_target
@_surge
@_output
def rollback(*, link: dict[str, Any], max_surge_percent: int | None, **given: Any) -> None:
    r"""Cancel the rollout under way; the primary version gets all the traffic back.

    \b
      anyservice rollback recommender
    """
    target = Target(given)
    _change(
        link,
        target,
        "Rolling back",
        lambda client: client.rollback(**target.arguments(), max_surge_percent=max_surge_percent),
    )


@click.command(cls=Command)
@with_target
@_yes
@_output
def terminate(*, link: dict[str, Any], yes: bool, **given: Any) -> None:
    r"""Stop a service, all versions of it. Asks first on a terminal.

    \b
      anyservice terminate recommender
      anyservice wait recommender -s TERMINATED
    """
    target = Target(given)
    _change(
        link,
        target,
        "Terminating",
        lambda client: client.terminate(**_certain(client, target, "Terminate", yes=yes)),
    )


@click.command(cls=Command)
@with_target
@_output
def archive(*, link: dict[str, Any], **given: Any) -> None:
    r"""Hide a terminated service from lists and from lookups by name.

    \b
      anyservice archive recommender
    """
    target = Target(given)
    _change(link, target, "Archived", lambda client: client.archive(**target.arguments()))


@click.command(cls=Command)
@with_target
@_yes
@_output
def delete(*, link: dict[str, Any], yes: bool, **given: Any) -> None:
    r"""Remove a terminated service for good, an archived one too. Asks first on a terminal.

    \b
      anyservice delete recommender
    """
    target = Target(given)
    _change(
        link,
        target,
        "Deleted",
        lambda client: client.delete(**_certain(client, target, "Delete", yes=yes, archived=True)),
    )
