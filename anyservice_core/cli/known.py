"""Which rollout a command is about: those that this machine remembers, by the name of their service."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from anyservice_core.cli.options import cloud, connection, project, service_names

if TYPE_CHECKING:
    from anyservice_core.client import Client
    from anyservice_core.effects import Op
    from anyservice_core.ledger import Ledger

__all__ = ["Asked", "clock", "flags_of", "someone", "with_rollout"]

F = TypeVar("F", bound=Callable[..., Any])


def with_rollout(function: F) -> F:
    """``[NAME]`` and where; given to the command as ``link name service cloud project``, which ``Asked`` takes."""
    for option in (
        connection,
        project,
        cloud,
        click.option("-n", "--name", shell_complete=service_names, help="Name of the service."),
        click.argument("service", required=False, metavar="[NAME]", shell_complete=service_names),
    ):
        function = option(function)
    return function


class Asked:
    """The rollout that the options of ``with_rollout`` speak of."""

    def __init__(self, given: dict[str, Any]) -> None:
        names = {name for name in (given.pop("name"), given.pop("service")) if name}
        if len(names) > 1:
            raise click.UsageError(
                f"Say which service is meant only once, not as {', '.join(sorted(names))}."
            )
        self.name = next(iter(names), None)
        self.link = given.pop("link")
        self.cloud, self.project = given.pop("cloud"), given.pop("project")

    def ledger(self, client: Client) -> Ledger:
        """What this machine remembers of it. Without a name, of the only one that is open, or that there is at all.

        Raises ``NotFoundError`` where it remembers nothing.
        """
        found = self.ledgers(client)
        if self.name is None:
            found = [ledger for ledger in found if ledger.open] or found
        if len(found) == 1:
            return found[0]
        if not found:
            raise self._unknown()
        if self.name is None:
            names = ", ".join(ledger.place.service for ledger in found)
            raise click.UsageError(f"Several rollouts are known: say the service's name, of {names}.")
        places = "; ".join(_where(ledger) for ledger in found)
        raise click.UsageError(f"Several services are called {self.name!r}: say which one, by {places}.")

    def ledgers(self, client: Client) -> list[Ledger]:
        """All that fit."""
        from anyservice_core.ledger import Ledger

        return Ledger.all(
            host=client.settings.host,
            service=self.name,
            cloud=self.cloud or client.settings.cloud,
            project=self.project or client.settings.project,
        )

    @property
    def flags(self) -> str:
        """What other commands about it need to be given, too."""
        return flags_of(self.link, self.cloud, self.project)

    def _unknown(self) -> Exception:
        from anyservice_core.errors import NotFoundError

        what = f"No rollout of {self.name!r}" if self.name else "No rollout"
        return NotFoundError(
            f"{what} is known on this machine.",
            status=404,
            hint="`anyservice rollout list` shows all canaries there are, whoever brought them.",
        )


def _where(ledger: Ledger) -> str:
    place = ledger.place
    return f"--cloud {place.cloud or '(none)'} --project {place.project or '(none)'}"


def flags_of(link: dict[str, Any], cloud: str | None, project: str | None) -> str:
    """The options that lead to the same place, for a command that is shown."""
    words: Sequence[str] = [
        *(["--local"] if link.get("local") else []),
        *(["--host", link["host"]] if link.get("host") else []),
        *(["--token-file", os.path.abspath(link["token_file"])] if link.get("token_file") else []),  # noqa: PTH100
        *(["--cloud", cloud] if cloud else []),
        *(["--project", project] if project else []),
    ]
    return f" {shlex.join(words)}" if words else ""


def clock(client: Client) -> float:
    """The time by the client's clock, in seconds since the epoch."""
    from anyservice_core.effects import Now

    def ask() -> Op[float]:
        return (yield from Now())

    return client.run(ask())


def someone() -> str:
    """Whoever types, as well as this machine knows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
