"""``anyservice completion``: click's own scripts, by the name of the shell."""

from __future__ import annotations

import click

from anyservice_core.cli.lazy import Command

__all__ = ["completion"]

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    r"""Print the script that completes commands, options, states and names of services in your shell.

    \b
      eval "$(anyservice completion bash)"                                   in ~/.bashrc
      eval "$(anyservice completion zsh)"                                    in ~/.zshrc
      anyservice completion fish > ~/.config/fish/completions/anyservice.fish
    """
    from click.shell_completion import get_completion_class

    from anyservice_core.cli import root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"This version of click cannot complete in {shell}.")
    click.echo(kind(root, {}, "anyservice", "_ANYSERVICE_COMPLETE").source())
