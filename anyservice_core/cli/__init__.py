"""``anyservice``, the command. Each command is loaded when it runs, so that help and completion are quick."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from anyservice_core.cli.errors import told

__all__ = ["main", "root"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a command is, and what to say of it before it is loaded."""

    module: str
    help: str


_SERVICES: Final = "anyservice_core.cli.services"
_COMMANDS: Final[Mapping[str, _Entry]] = {
    "deploy": _Entry("anyservice_core.cli.deploy", "Deploy a service or a new version of it."),
    "status": _Entry(_SERVICES, "Show a service and its versions."),
    "wait": _Entry(_SERVICES, "Wait for a state, or for a version to be healthy at a weight."),
    "rollback": _Entry(_SERVICES, "Cancel the rollout under way."),
    "terminate": _Entry(_SERVICES, "Stop a service."),
    "list": _Entry(_SERVICES, "List services."),
    "archive": _Entry(_SERVICES, "Hide a terminated service."),
    "delete": _Entry(_SERVICES, "Remove a terminated service for good."),
    "rollout": _Entry("anyservice_core.cli.rollout", "Progressive delivery: run a plan of steps and gates."),
    "plane": _Entry("anyservice_core.cli.plane", "An Anyscale-compatible control plane on this machine."),
}


class _Root(click.Group):
    """Knows its commands by a table, and turns our errors into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = _COMMANDS.get(cmd_name)
        return None if entry is None else _load(cmd_name, entry)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with told(ctx):
            return super().invoke(ctx)


def _load(name: str, entry: _Entry) -> click.Command:
    module = importlib.import_module(entry.module)
    command: click.Command = getattr(module, f"{name}_command", None) or getattr(module, name)
    return _readable(command)


def _readable(command: click.Command) -> click.Command:
    """Examples keep their lines: in a raw docstring click's mark for that is written, not meant."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    for part in command.commands.values() if isinstance(command, click.Group) else ():
        _readable(part)
    return command


@click.command(
    "anyservice",
    cls=_Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    no_args_is_help=True,
)
@click.version_option(package_name="anyservice", message="%(package)s %(version)s")
def root() -> None:
    r"""Progressive delivery for Ray Serve services.

    \b
      anyservice plane up -d                              a control plane on this machine
      anyservice deploy -f service.yaml                   first version
      anyservice wait -n recommender                      until it is healthy
      anyservice deploy -f service.yaml --canary-percent 10
      anyservice rollout run -f service.yaml --plan rollout.yaml
      anyservice rollback -n recommender

    The control plane is taken from ANYSERVICE_HOST or ANYSCALE_HOST, the token from ANYSERVICE_CLI_TOKEN,
    ANYSCALE_CLI_TOKEN or ~/.anyscale/credentials.json; without any of them, the plane on this machine is used.

    Exit codes: 0 done, 1 unforeseen, 2 input or settings, 3 no answer (try again), 4 refused, 5 token,
    6 not found, 7 conflict, 8 an answer that makes no sense, 9 a wait ended, 10 rolled back, 11 paused,
    12 the plane, 130 interrupted.
    """


_readable(root)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(root.main(prog_name="anyservice", standalone_mode=True))
