"""``anyservice config``: which settings hold, and why."""

from __future__ import annotations

from typing import Any

import click

from anyservice_core.cli.lazy import Group
from anyservice_core.cli.manners import manners, with_output
from anyservice_core.cli.options import cloud, connection, project, resolved_link

__all__ = ["config"]


@click.group(cls=Group, no_args_is_help=True)
def config() -> None:
    """Which control plane is meant, and as whom."""


@config.command()
@cloud
@project
@connection
@with_output("table", "text", "json", "yaml")
def show(*, link: dict[str, Any], cloud: str | None, project: str | None) -> None:
    r"""Show each setting, its value, and the place that it came from. Nothing is sent.

    The token is never shown, only where it is. Text is NAME=VALUE, one a line.

    \b
      anyservice config show
      anyservice config show --local
    """
    from anyservice_core import settings
    from anyservice_core.cli import render

    host, token = resolved_link(link)
    found = settings.explain(host, token, cloud=cloud, project=project)
    rows = [(one.setting, _without_user(one.value), one.source) for one in found]
    match manners().output:
        case "table":
            shown = [(name, "-" if value is None else value, source) for name, value, source in rows]
            render.show_table([("SETTING", "VALUE", "FROM"), *shown])
        case "text":
            for name, value, _ in rows:
                click.echo(f"{name}={value or ''}")
        case _:
            render.show([{"setting": name, "value": value, "source": source} for name, value, source in rows])


def _without_user(value: str | None) -> str | None:
    """An address that holds a password is refused when it is used, and not shown here."""
    if value is None or "://" not in value or "@" not in value:
        return value
    scheme, _, rest = value.partition("://")
    return f"{scheme}://(hidden)@{rest.rpartition('@')[2]}"
