"""``anyservice rollout status``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from anyservice_core.cli.known import Asked, clock, with_rollout
from anyservice_core.cli.lazy import Command
from anyservice_core.cli.live import lines
from anyservice_core.cli.manners import manners, width, with_output
from anyservice_core.cli.options import connected
from anyservice_core.cli.progress import say
from anyservice_core.cli.text import plain
from anyservice_core.cli.view import View, Watch

if TYPE_CHECKING:
    from anyservice_core.client import Client
    from anyservice_core.ledger import Holder, Ledger
    from anyservice_core.models import ServiceStatus
    from anyservice_core.rollout import Journal
    from anyservice_core.rollout.orders import Order

__all__ = ["status"]


@click.command(cls=Command)
@with_rollout
@with_output("text", "json", "yaml")
def status(**given: Any) -> None:
    r"""Show where a rollout stands: weight, step and clock, what its metrics say, what holds it, and who runs it.

    It is put together from what this machine remembers and what the control plane says. Without a name it is the only
    one that is open.

    \b
      anyservice rollout status recommender
      anyservice rollout status recommender -o json | jq -r .gate.name
    """
    from anyservice_core.cli import render

    asked = Asked(given)
    with connected(asked.link) as client:
        found = _standing(client, asked, asked.ledger(client))
    if manners().output == "text":
        for line in _text(found):
            click.echo(line)
    else:
        render.show(found.to_dict())


# ── what is known ───────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Standing:
    """A rollout, as this machine and the control plane know it."""

    ledger: Ledger
    journal: Journal
    view: View
    service: ServiceStatus | None
    process: Holder | None
    orders: list[Order]
    flags: str

    @property
    def state(self) -> str:
        """In a word: running, stopped (nobody runs it), or how it has ended."""
        if self.process:
            return "running"
        return self.journal.outcome.value if self.journal.outcome else "stopped"

    @property
    def commands(self) -> dict[str, str]:
        """What would go on with it, and what would undo it, while there is something to be done."""
        place = self.ledger.place
        if not self.ledger.open:
            return {}
        resume = {"resume": place.command} if place.command and not self.process else {}
        return {**resume, "undo": f"anyservice rollout abort {place.service}{self.flags}"}

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values."""
        place, journal, view = self.ledger.place, self.journal, self.view
        canary = self.service.canary_version if self.service else None
        return {
            "service": place.service,
            "host": place.host,
            "cloud": place.cloud,
            "project": place.project,
            "state": self.state,
            "outcome": journal.outcome and journal.outcome.value,
            "reason": journal.reason or None,
            "version": journal.version_name,
            "version_id": journal.version,
            "baseline_version": journal.baseline,
            "baseline_name": journal.baseline_name,
            "service_state": self.service and self.service.state.value,
            "canary": canary and {"name": canary.name, "id": canary.id, "weight": canary.weight},
            "weight": view.weight,
            "step": _step(view),
            "doing": view.doing or None,
            "gate": view.gate and {"name": view.gate, "reason": view.doing, "until": view.until},
            "findings": [finding.model_dump(mode="json") for finding in view.findings],
            "orders": [order.model_dump(mode="json") for order in self.orders],
            "started_at": journal.started_at,
            "looked_at": journal.looked_at,
            "process": self.process and self.process.to_dict(),
            "commands": self.commands,
            "memory": str(self.ledger.folder),
            "report": self.ledger.page and str(self.ledger.page),
        }


def _standing(client: Client, asked: Asked, ledger: Ledger) -> _Standing:
    from anyservice_core.errors import NotFoundError

    journal, process = ledger.journal(), ledger.running()
    if journal is None:
        name, who = ledger.place.service, f": {process}" if process else ""
        raise NotFoundError(f"The rollout of {name!r} has remembered nothing yet{who}.", status=404)
    service = _service(client, ledger)
    watch = Watch()
    for event in ledger.events():
        if event.version == journal.version_name:
            watch.see(event)
    watch.keep(journal)
    now = clock(client) if process else (journal.looked_at or 0.0)
    view = replace(
        watch.known,
        service=ledger.place.service,
        weight=_weight(service, journal) if service else watch.known.weight,
        now=now,
        flags=asked.flags,
    )
    orders = [*journal.orders, *(order for order in ledger.orders() if _is_new(order, journal))]
    return _Standing(ledger, journal, view, service, process, orders, asked.flags)


def _service(client: Client, ledger: Ledger) -> ServiceStatus | None:
    """What the control plane says now; what this machine remembers is shown without it, too."""
    from anyservice_core.errors import ApiError, TransportError

    place = ledger.place
    try:
        return client.status(place.service, cloud=place.cloud, project=place.project)
    except (ApiError, TransportError) as error:
        say(f"The control plane does not tell how the service is now: {error.message}")
        return None


def _weight(service: ServiceStatus, journal: Journal) -> int | None:
    """The share of our version, while it is the canary."""
    canary = service.canary_version
    return canary.weight if canary and canary.name == journal.version_name else None


def _is_new(order: Order, journal: Journal) -> bool:
    """Whether nobody has taken it in yet."""
    return order.at >= journal.orders_from and all(order.id != known.id for known in journal.orders)


def _step(view: View) -> dict[str, Any] | None:
    if view.step is None:
        return None
    weights = view.plan.weights if view.plan else ()
    return {
        "weight": view.step,
        "number": sum(1 for weight in weights if weight <= view.step),
        "of": len(weights),
        "bake_s": view.bake_s,
        "baked_s": round(min(view.baked_now_s, view.bake_s), 1),
    }


# ── for people ──────────────────────────────────────────────────────────────


def _text(found: _Standing) -> Iterator[str]:
    over = not found.ledger.open
    shown = replace(found.view, plan=None, weight=None, doing="", gate=None) if over else found.view
    yield from lines(shown, width() or 80)
    rows = [
        *_who(found),
        *(
            ("orders", f"{_clock(order.at)}  {plain(str(order))}{_taken(found, order)}")
            for order in found.orders
        ),
        *_end(found),
        *found.commands.items(),
    ]
    before = ""
    for label, text in rows:
        yield f"{click.style(('' if label == before else label).ljust(9), dim=True)}{text}"
        before = label


def _who(found: _Standing) -> Iterator[tuple[str, str]]:
    if found.process:
        yield "run by", str(found.process)
    elif found.ledger.open:
        yield "run by", click.style("no process", fg="yellow")
    if found.service:
        yield "service", f"{found.service.state}{_canary(found)}"


def _canary(found: _Standing) -> str:
    """A canary that is not the one that this rollout brought deserves a word."""
    canary = found.service.canary_version if found.service else None
    if canary is None or canary.name == found.journal.version_name:
        return ""
    return f", with another canary: {plain(canary.name)} at {canary.weight} %"


def _taken(found: _Standing, order: Order) -> str:
    return click.style("  (not taken in yet)", dim=True) if _is_new(order, found.journal) else ""


def _end(found: _Standing) -> Iterator[tuple[str, str]]:
    outcome = found.journal.outcome
    if outcome:
        when = _clock(found.journal.looked_at or 0.0)
        yield "ended", f"{when}  {outcome.replace('_', ' ')}: {plain(found.journal.reason)}"
    if found.ledger.page and not found.ledger.open:
        yield "report", str(found.ledger.page)


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
