"""``anyservice rollout list``: every canary there is, so that none is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from anyservice_core.cli.known import clock, flags_of
from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import manners, with_output
from anyservice_core.cli.options import cloud, connected, connection, project
from anyservice_core.cli.text import plain
from anyservice_core.rollout.duration import format_duration

if TYPE_CHECKING:
    from anyservice_core.client import Client
    from anyservice_core.ledger import Ledger
    from anyservice_core.models import ServiceStatus, ServiceVersionStatus

__all__ = ["list_command"]

_OURS: Final = re.compile(r"-[0-9a-f]{10}$")  # how a rollout ends the name of its version
_HEADS: Final = ("NAME", "VERSION", "WEIGHT", "AGE", "WHOSE", "RUN BY")
_HERE, _ELSEWHERE, _BY_HAND = "this machine's", "a rollout's", "by hand"


@click.command("list", cls=Command)
@cloud
@project
@connection
@with_output("text", "table", "json", "yaml")
def list_command(*, cloud: str | None, project: str | None, link: dict[str, Any]) -> None:
    r"""Show every service with a canary: whose it is, for how long, who runs its rollout, what would resume or undo it.

    A canary is "this machine's" if a rollout that is remembered here brought it, "a rollout's" if its name says that
    one did elsewhere, else it was deployed "by hand". Rollouts that are not over and have no canary are shown too.

    \b
      anyservice rollout list
      anyservice rollout list -o json | jq -r '.[] | select(.process == null) | .commands.undo'
    """
    from anyservice_core.cli import render

    with connected(link) as client:
        found = _canaries(client, cloud, project, flags_of(link, cloud, project))
    match manners().output:
        case "text":
            _tell(found)
        case "table":
            render.show_table([_HEADS, *(one.row for one in found)], keep=4)
        case _:
            render.show([one.to_dict() for one in found])


@dataclass(frozen=True, slots=True)
class _Canary:
    """One canary, or a rollout that is not over and has none. ``age_s``: seconds since its version was made."""

    service: str
    version: str
    weight: int | None
    age_s: float | None
    whose: str
    process: Mapping[str, Any] | None = None
    reason: str | None = None
    commands: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values."""
        return asdict(self)

    @property
    def row(self) -> tuple[str, ...]:
        share = "-" if self.weight is None else f"{self.weight}%"
        return (self.service, self.version, share, self.age or "-", self.whose, self.runner or "-")

    @property
    def age(self) -> str:
        return "" if self.age_s is None else format_duration(max(self.age_s, 0.0))

    @property
    def runner(self) -> str:
        return f"process {self.process['pid']} on {self.process['host']}" if self.process else ""


def _canaries(client: Client, cloud: str | None, project: str | None, flags: str) -> list[_Canary]:
    from anyservice_core.ledger import Ledger

    known = client.settings
    place = {"cloud": cloud or known.cloud, "project": project or known.project}
    ledgers = Ledger.all(host=known.host, **place)
    now = clock(client)
    found = [
        _judged(service, canary, ledgers, now, flags)
        for service in client.list(cloud=cloud, project=project)
        if (canary := service.canary_version)
    ]
    seen = {one.service for one in found}
    open_ones = [ledger for ledger in ledgers if ledger.open and ledger.place.service not in seen]
    return [*found, *(_without_canary(ledger, flags) for ledger in open_ones)]


def _judged(
    service: ServiceStatus, canary: ServiceVersionStatus, ledgers: list[Ledger], now: float, flags: str
) -> _Canary:
    name = service.name
    ledger = next((one for one in ledgers if one.place.service == name and _brought(one, canary)), None)
    age_s = now - canary.created_at.timestamp()
    if ledger is None:
        elsewhere = bool(_OURS.search(canary.name))
        undo = {"undo": f"anyservice rollback {name}{flags}"}
        onward = {} if elsewhere else {"resume": f"anyservice shift {name}{flags} --canary-percent 100"}
        whose = _ELSEWHERE if elsewhere else _BY_HAND
        return _Canary(name, canary.name, canary.weight, age_s, whose, commands={**onward, **undo})
    return _Canary(name, canary.name, canary.weight, age_s, _HERE, *_remembered(ledger, flags))


def _brought(ledger: Ledger, canary: ServiceVersionStatus) -> bool:
    journal = ledger.journal()
    return journal is not None and journal.version_name == canary.name


def _remembered(ledger: Ledger, flags: str) -> tuple[Mapping[str, Any] | None, str | None, Mapping[str, str]]:
    """Who runs it, why nobody does any more, and what could be done."""
    place, journal, process = ledger.place, ledger.journal(), ledger.running()
    over = journal.outcome if journal else None
    reason = f"{over.replace('_', ' ')}: {journal.reason}" if journal and over else None
    if not ledger.open:
        return None, reason, {"undo": f"anyservice rollback {place.service}{flags}"}
    resume = {"resume": place.command} if place.command and not process else {}
    undo = {"undo": f"anyservice rollout abort {place.service}{flags}"}
    return (process.to_dict() if process else None), reason, {**resume, **undo}


def _without_canary(ledger: Ledger, flags: str) -> _Canary:
    journal = ledger.journal()
    version = journal.version_name if journal else ""
    return _Canary(ledger.place.service, version, None, None, _HERE, *_remembered(ledger, flags))


# ── for people ──────────────────────────────────────────────────────────────


def _tell(found: list[_Canary]) -> None:
    if not found:
        click.echo("No canary, and no rollout that is not over.", err=True)
    for one in found:
        for line in _lines(one):
            click.echo(line)


def _lines(one: _Canary) -> Iterator[str]:
    at = "has no canary now" if one.weight is None else f"at {one.weight} % for {one.age}"
    yield f"{click.style(plain(one.service), bold=True)}  {plain(one.version)}  {at}"
    yield f"  {_whose(one)}"
    for label, command in one.commands.items():
        yield f"  {click.style(f'{label}:'.ljust(8), dim=True)}{command}"


def _whose(one: _Canary) -> str:
    if one.whose == _BY_HAND:
        return "deployed by hand: no rollout watches it"
    if one.whose == _ELSEWHERE:
        return "brought by a rollout that this machine does not remember: run it again with the same config to go on"
    if one.runner:
        return f"run by {one.runner}"
    stopped = click.style("no process runs its rollout", fg="yellow")
    return f"{stopped}{f'; {plain(one.reason)}' if one.reason else ''}"
