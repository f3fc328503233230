"""Models to text, JSON or YAML on stdout. Nothing else prints results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import yaml

if TYPE_CHECKING:
    from anyservice_core.models import ServiceStatus, ServiceVersionStatus

__all__ = ["show", "show_status", "show_table", "status_fields"]

_HIDDEN = "(hidden; -v shows it)"
_HEADS = ("NAME", "STATE", "PRIMARY", "CANARY", "ID", "CREATOR")


def show(content: Any, output: str) -> None:
    """Plain values as ``json`` or ``yaml``."""
    if output == "json":
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).rstrip())


def show_status(status: ServiceStatus, output: str, *, verbose: bool) -> None:
    """A service. Text is YAML for eyes: what is empty is left out, and the token unless asked for."""
    fields = status_fields(status, verbose=verbose)
    if output == "text":
        fields = {name: value for name, value in fields.items() if value not in (None, [])}
        fields.pop("versions", None)
        if "query_auth_token" in fields and not verbose:
            fields["query_auth_token"] = _HIDDEN
    show(fields, "yaml" if output == "text" else output)


def status_fields(status: ServiceStatus, *, verbose: bool) -> dict[str, Any]:
    """All of a status; the versions' configs only if ``verbose``."""
    fields = {"name": status.name, **status.to_dict()}
    if not verbose:
        for version in (fields["primary_version"], fields["canary_version"], *fields["versions"]):
            if version:
                del version["config"]
    return fields


def show_table(services: Sequence[ServiceStatus]) -> None:
    """One line a service, columns as wide as they need to be."""
    if not services:
        click.echo("No services.", err=True)
        return
    rows = [_HEADS, *(_row(service) for service in services)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(service: ServiceStatus) -> tuple[str, ...]:
    primary, canary = _share(service.primary_version), _share(service.canary_version)
    return service.name, service.state.value, primary, canary, service.id, service.creator or "-"


def _share(version: ServiceVersionStatus | None) -> str:
    return f"{version.name or version.id[-8:]} {version.weight}%" if version else "-"
