"""The page of the command line, from click's own tree."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from parity import COMMANDS

from anyservice_core.cli import root
from anyservice_core.cli.errors import EXIT_CODES
from pages.words import GENERATED, code, table

INTRO = """# Command line

Results go to stdout, everything else to stderr. Each command that prints takes `-o`:

| | |
|---|---|
| `text` | the simplest thing for a shell: an id alone, names one a line; for `status` YAML for eyes |
| `table` | columns; on a terminal no wider than it is |
| `json`, `yaml` | everything, for programs |

With `-o json` (or `-j`) each line of stderr is a JSON object too: progress as
`{"event": "Waiting", "service": ..., "state": ..., "message": ...}`, errors as
`{"error": {"type": "NotFoundError", "message": ..., "exit_code": 6, "retryable": false, "hint": ..., "status": ...}}`.
Events of a rollout are `{"event": "Event", "kind": "measured", "service": ..., "version": ..., "weight": ..., "at": ...,
"data": {...}, "message": ...}`, with their numbers in `data`; `at` is seconds since the epoch.

On a terminal, progress is one line that is written over in place, for a rollout a few; elsewhere it is plain lines. `terminate` and `delete`
ask first on a terminal, unless `--yes` is given. Without a terminal nothing is ever asked: scripts that were written for
`anyscale service` must not hang, and `delete` only takes what was terminated before.

There is no option for the token: a command line can be read by everyone on the machine and stays in the shell's history.
Use `ANYSERVICE_CLI_TOKEN` or `--token-file`; [Settings](settings.md) has the order.

A mistyped command, option or state is answered with the one that was likely meant. Colours are on for terminals,
unless `NO_COLOR` is set; `--color` decides otherwise.
"""

COMPLETION = """## Completion

```sh
eval "$(anyservice completion bash)"                                   # in ~/.bashrc
eval "$(anyservice completion zsh)"                                    # in ~/.zshrc
anyservice completion fish > ~/.config/fish/completions/anyservice.fish
```

It completes commands, options, files, states, and names of services: those are asked for with one request that is given
two seconds.
"""

PARITY = """## Coming from `anyscale service`

Change one word: `anyscale service X` is `anyservice service X`, for short `anyservice X`. Each option below is run by a
test in each of its spellings, which looks at what is sent.
"""


def page() -> str:
    parts = [
        GENERATED,
        INTRO,
        *(_command(path, command) for path, command in walk(root)),
        COMPLETION,
        _exits(),
    ]
    return "\n".join([*parts, PARITY, *_parity()])


def walk(
    group: click.Group, path: tuple[str, ...] = ("anyservice",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, once: the group that repeats them is left out."""
    ctx = click.Context(group, info_name=path[-1])
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if name == "service":
            continue
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


def _command(path: tuple[str, ...], command: click.Command) -> str:
    ctx = click.Context(command, info_name=" ".join(path))
    usage = " ".join(command.collect_usage_pieces(ctx))
    return "\n".join(
        [
            f"## {' '.join(path)}\n",
            f"```text\n{' '.join(path)} {usage}\n```\n",
            f"{help_text(command.help or '')}\n",
            table(["option", "meaning"], _options(command, ctx)),
        ]
    )


def help_text(text: str) -> str:
    """Click's help as Markdown: what keeps its lines is something to type."""
    parts = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(_paragraph(part) for part in parts)


def _paragraph(part: str) -> str:
    lines = [line.strip() for line in part.splitlines()]
    if lines[0] == "\b":
        return "\n".join(["```sh", *lines[1:], "```"])
    return " ".join(lines)


def _options(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield code(parameter.make_metavar(ctx)), _ARGUMENTS.get(str(parameter.name), "")
        elif isinstance(parameter, click.Option) and not parameter.hidden:
            yield _spelling(parameter, ctx), _meaning(parameter, ctx)


_ARGUMENTS = {
    "service": "Name of the service.",
    "import_path": "The application, as `module:variable`; instead of `-f`.",
    "arguments": "Arguments of the application, given to it as text.",
    "file": "The plan's file.",
    "shell": "The shell.",
}


def _spelling(option: click.Option, ctx: click.Context) -> str:
    names = sorted([*option.opts, *option.secondary_opts], key=len)
    shown = ", ".join(code(name) for name in names)
    return shown if option.is_flag else f"{shown} {code(option.make_metavar(ctx))}"


def _meaning(option: click.Option, ctx: click.Context) -> str:
    """As help has it, with what click adds: the default, the environment variable."""
    record = option.get_help_record(ctx)
    return re.sub(r"\s+", " ", record[1]) if record else ""


def _exits() -> str:
    rows = [(str(number), meaning) for number, meaning in EXIT_CODES.items()]
    return f"## Exit codes\n\n{table(['code', 'meaning'], rows)}"


def _parity() -> Iterator[str]:
    for name, options in COMMANDS.items():
        rows = [
            (", ".join(code(one) for one in spelled.split()), "yes", note)
            for spelled, note in options.items()
        ]
        yield f"### {name}\n\n{table(['option', 'works', 'note'], rows)}"
