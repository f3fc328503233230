"""``anyservice``, the command. Each command is loaded when it runs, so that help and completion are quick."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from anyservice_core.cli.errors import EXIT_CODES, told
from anyservice_core.cli.lazy import Entry, LazyGroup, Sections, readable
from anyservice_core.cli.manners import plain_colors

__all__ = ["main", "root"]

_HERE: Final = "anyservice_core.cli"
_ENDING: Final = f"{_HERE}.ending"
_SERVICES: Final = {
    "deploy": Entry(f"{_HERE}.deploy", "Deploy a service or a new version of it."),
    "status": Entry(f"{_HERE}.looking", "Show a service and its versions."),
    "wait": Entry(f"{_HERE}.looking", "Wait for a state, or for a version to be healthy at a weight."),
    "list": Entry(f"{_HERE}.listing", "List services."),
    "shift": Entry(_ENDING, "Move the weight of a canary."),
    "rollback": Entry(_ENDING, "Cancel the rollout under way."),
    "terminate": Entry(_ENDING, "Stop a service."),
    "archive": Entry(_ENDING, "Hide a terminated service."),
    "delete": Entry(_ENDING, "Remove a terminated service for good."),
}
_COMMANDS: Final[Sections] = {
    "Services": _SERVICES,
    "Progressive delivery": {
        "rollout": Entry(f"{_HERE}.rollout", "Run a plan of steps, judged by metrics; taken back if worse."),
    },
    "This machine": {
        "plane": Entry(f"{_HERE}.plane", "An Anyscale-compatible control plane on this machine."),
        "config": Entry(f"{_HERE}.config", "Show which settings hold, and where they come from."),
        "completion": Entry(f"{_HERE}.completion", "Print the script that completes commands in your shell."),
        "service": Entry(_HERE, "The commands for services, spelled as `anyscale service` has them."),
    },
}
_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Root(LazyGroup):
    """Turns whatever goes wrong into a message and an exit code."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        self.args: Sequence[str] = [*args]
        with told(self.args):
            return super().make_context(info_name, args, parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])

    def invoke(self, ctx: click.Context) -> Any:
        plain_colors(ctx)
        with told(self.args):
            return super().invoke(ctx)


@click.command("anyservice", cls=_Root, sections=_COMMANDS, context_settings=_SETTINGS, no_args_is_help=True)
@click.version_option(package_name="anyservice", message="%(package)s %(version)s")
def root() -> None:
    r"""Progressive delivery for Ray Serve services.

    \b
      anyservice plane up -d                              a control plane on this machine
      anyservice deploy -f service.yaml                   the first version
      anyservice wait recommender                         until it is healthy
      anyservice deploy -f service.yaml --canary-percent 10
      anyservice rollout run -f service.yaml -p rollout.yaml
      anyservice rollback recommender

    Without any settings the plane on this machine is used; ANYSERVICE_HOST and ANYSERVICE_CLI_TOKEN, or those of
    `anyscale login`, lead elsewhere. `anyservice config show` says what holds.

    Results go to stdout, everything else to stderr. -o json makes both readable for programs.
    """


@click.command("service", cls=LazyGroup, sections={"Commands": _SERVICES}, no_args_is_help=True)
def service() -> None:
    """`anyscale service X` is `anyservice service X`, which is `anyservice X`."""


readable(root)


def _start_quickly() -> None:
    """Spare a process that lives for one question what only longer ones need."""
    # httpx has a command of its own, which loads rich and pygments where they are installed.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # the way to say that it cannot be imported
    # Nearly all that is made while modules load stays, so looking through it again and again finds nothing.
    gc.set_threshold(50_000)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    _start_quickly()
    sys.exit(root.main(prog_name="anyservice", standalone_mode=True))
