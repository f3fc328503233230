"""Groups that know their commands by a table and load each when it runs, so that help and completion are quick."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import click

__all__ = ["Command", "Entry", "Group", "LazyGroup", "Sections", "readable"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, and what to say of it before it is loaded."""

    module: str
    help: str
    kept: list[click.Command] = field(default_factory=list, compare=False, repr=False)

    def load(self, name: str) -> click.Command:
        """The command; it is the name itself in its module, or ``<name>_command`` where that is a builtin."""
        if not self.kept:
            module = importlib.import_module(self.module)
            self.kept.append(readable(getattr(module, f"{name}_command", None) or getattr(module, name)))
        return self.kept[0]


Sections = Mapping[str, Mapping[str, Entry]]
"""Commands by name, under the heading that help shows them in."""


_HEADINGS: Final = {
    "host": "Control plane",
    "local": "Control plane",
    "token_file": "Control plane",
    "output": "Output",
    "as_json": "Output",
    "color": "Output",
}


class Command(click.Command):
    """A command whose own options stand apart from those that all have."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found: dict[str, list[tuple[str, str]]] = {"Options": [], "Control plane": [], "Output": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                is_help = parameter is self.get_help_option(ctx)
                found["Output" if is_help else _HEADINGS.get(str(parameter.name), "Options")].append(record)
        for heading, records in found.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


class LazyGroup(click.Group):
    """A group of commands that are not loaded yet."""

    def __init__(self, *args: Any, sections: Sections, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sections = sections

    @property
    def entries(self) -> dict[str, Entry]:
        return {name: entry for section in self.sections.values() for name, entry in section.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*self.entries]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = self.entries.get(cmd_name)
        return entry.load(cmd_name) if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        wanted = args[0]
        if wanted not in self.entries and not wanted.startswith("-") and not ctx.resilient_parsing:
            close = difflib.get_close_matches(wanted, self.entries, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"No such command {wanted!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        column = max(map(len, self.entries))
        for heading, section in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(column), entry.help) for name, entry in section.items()])


def readable(command: click.Command) -> click.Command:
    r"""Examples keep their lines: in a raw docstring click's mark for that, ``\b``, is written, not meant."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    for part in command.commands.values() if isinstance(command, click.Group) else ():
        readable(part)
    return command
