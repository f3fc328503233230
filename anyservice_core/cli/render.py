"""Models to text, tables, JSON or YAML on stdout. Nothing else prints results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from anyservice_core.cli import yamltext
from anyservice_core.cli.manners import manners, width

if TYPE_CHECKING:
    from anyservice_core.models import DeployPreview, ServiceStatus, ServiceVersionStatus

__all__ = [
    "ago",
    "paint",
    "show",
    "show_id",
    "show_preview",
    "show_services",
    "show_status",
    "show_table",
    "status_fields",
]

_HIDDEN: Final = "(hidden; -v shows it)"
_HEADS: Final = ("NAME", "STATE", "PRIMARY", "CANARY", "DEPLOYED", "ID", "CREATOR")
_VERSION_HEADS: Final = ("ROLE", "VERSION", "STATE", "WEIGHT", "DEPLOYED", "ID")
_CHECK_HEADS: Final = ("CHECK", "VERSION", "STATE", "SINCE", "MESSAGE")
_COLORS: Final = {
    "RUNNING": "green",
    "STARTING": "cyan",
    "UPDATING": "cyan",
    "ROLLING_OUT": "cyan",
    "ROLLING_BACK": "yellow",
    "UNHEALTHY": "red",
    "SYSTEM_FAILURE": "red",
    "TERMINATING": "yellow",
}
_CHANGE_HEADS: Final = ("", "PLACE", "LIVE", "WANTED")
_SIGNS: Final = {"+": "green", "-": "red", "~": "yellow"}
_LEAST: Final = 12
_GAP: Final = "  "


def show(content: Any) -> None:
    """Plain values as JSON if that is asked for, else as YAML."""
    if manners().output == "json":
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(yamltext.dump(content))


def show_id(fields: dict[str, Any]) -> None:
    """What a change gives back: text is the id alone."""
    match manners().output:
        case "text":
            click.echo(fields["id"])
        case "table":
            rows = [
                [name.upper().replace("_", " ") for name in fields],
                [str(value) for value in fields.values()],
            ]
            show_table(rows)
        case _:
            show(fields)


def show_preview(preview: DeployPreview) -> None:
    """What a deploy would do. Text is a diff for eyes, a table the differences alone; no form shows a secret."""
    match manners().output:
        case "text":
            for line in preview.lines():
                click.echo(_tinted(line))
        case "table":
            for line in preview.heading():
                click.echo(line, err=True)
            changes = [(one.sign, one.path, _cell(one.before), _cell(one.after)) for one in preview.changes]
            show_table([_CHANGE_HEADS, *changes], keep=2)
        case _:
            show(preview.to_dict())


def _tinted(line: str) -> str:
    kind = line.lstrip()[:2].rstrip()
    return click.style(line, fg=_SIGNS[kind]) if kind in _SIGNS else line


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


# ── a service ───────────────────────────────────────────────────────────────


def show_status(fields: dict[str, Any], *, verbose: bool = False) -> None:
    """A service. Text is YAML for eyes: what is empty is left out, and the token unless asked for."""
    fields = {"name": fields["name"], **fields}
    match manners().output:
        case "table":
            show_table([_VERSION_HEADS, *_version_rows(fields)], keep=4)
            if checks := fields.get("checklist"):
                click.echo()
                show_table([_CHECK_HEADS, *map(_check_row, checks)])
        case "text":
            told = {
                name: value
                for name, value in fields.items()
                if value not in (None, []) and name != "versions"
            }
            if "query_auth_token" in told and not verbose:
                told["query_auth_token"] = _HIDDEN
            if "checklist" in told:
                told["checklist"] = [_check_line(check) for check in told["checklist"]]
            show(told)
        case _:
            show(fields)


def status_fields(status: ServiceStatus, *, verbose: bool = False) -> dict[str, Any]:
    """All of a status; the versions' configs and the checklist only if ``verbose``."""
    fields = {"name": status.name, **status.to_dict()}
    if not verbose:
        fields.pop("checklist", None)
        for version in (fields["primary_version"], fields["canary_version"], *fields["versions"]):
            if version:
                version.pop("config", None)
    return fields


def _version_rows(fields: dict[str, Any]) -> list[Sequence[str]]:
    both = ((role, fields[f"{role}_version"]) for role in ("primary", "canary"))
    return [
        (
            role,
            one["name"] or "-",
            one["state"],
            f"{one['weight']}%",
            ago(datetime.fromisoformat(one["created_at"])),
            one["id"],
        )
        for role, one in both
        if one
    ]


def _check_row(check: dict[str, Any]) -> Sequence[str]:
    since = check["since"] and ago(datetime.fromisoformat(check["since"]))
    return (check["label"], check["version"] or "-", check["state"], since or "-", check["message"] or "-")


def _check_line(check: dict[str, Any]) -> str:
    """Such as ``Host of v1 RUNNING (5m ago), engine ray``."""
    label, version, state, since, message = _check_row(check)
    line = f"{label}{f' of {version}' if check['version'] else ''} {state}"
    line += f" ({since})" if check["since"] else ""
    return f"{line}, {message}" if check["message"] else line


# ── lists ───────────────────────────────────────────────────────────────────


def show_services(services: Sequence[ServiceStatus], *, verbose: bool = False) -> None:
    """A list: a table of them, their names in text, everything in JSON and YAML."""
    match manners().output:
        case "text":
            for service in services:
                click.echo(service.name)
        case "table":
            show_table([_HEADS, *(_row(service) for service in services)], keep=4)
        case _:
            show([status_fields(service, verbose=verbose) for service in services])


def _row(service: ServiceStatus) -> tuple[str, ...]:
    primary, canary = service.primary_version, service.canary_version
    newest = canary or primary
    return (
        service.name,
        service.state.value,
        _share(primary),
        _share(canary),
        ago(newest.created_at) if newest else "-",
        service.id,
        service.creator or "-",
    )


def _share(version: ServiceVersionStatus | None) -> str:
    return f"{version.name or version.id[-8:]} {version.weight}%" if version else "-"


def ago(moment: datetime) -> str:
    """How long ago, in one unit: ``now``, ``5m ago``, ``3h ago``, ``12d ago``."""
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return "now"


def show_table(rows: Sequence[Sequence[str]], *, keep: int | None = None) -> None:
    """Columns as wide as they need to be; on a terminal, no wider than it is.

    The first ``keep`` columns, by default all, are there in any case.
    """
    if len(rows) < 2:
        return
    columns = range(len(rows[0]))
    widths = _fit(
        [max(len(row[column]) for row in rows) for column in columns], width(), keep or len(columns)
    )
    for row in rows:
        cells = [_shown(cell, room) for cell, room in zip(row, widths, strict=False)]
        click.echo(_GAP.join(cells).rstrip())


def _fit(widths: list[int], room: int | None, keep: int) -> list[int]:
    """Make a row fit: half an id is of no use, so the last columns go as a whole before any is cut."""
    while room is not None and len(widths) > keep and _total(widths) > room:
        widths = widths[:-1]
    while room is not None and _total(widths) > room and max(widths) > _LEAST:
        widest = widths.index(max(widths))
        widths = [*widths[:widest], widths[widest] - 1, *widths[widest + 1 :]]
    return widths


def _total(widths: list[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _shown(cell: str, room: int) -> str:
    text = cell if len(cell) <= room else cell[: room - 1] + "…"
    return paint(cell, text) + " " * (room - len(text))


def paint(state: str, text: str | None = None) -> str:
    """A state in its colour; anything else as it is."""
    return click.style(text or state, fg=_COLORS[state]) if state in _COLORS else text or state
