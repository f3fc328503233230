"""The folder of one service: what is written into it, and read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from anyservice_core.errors import ConflictError, PlanError
from anyservice_core.ledger.files import Folder, prune, read, write
from anyservice_core.ledger.lock import Holder, RunLock
from anyservice_core.ledger.story import OVER, Story
from anyservice_core.models.config import ServiceConfig
from anyservice_core.rollout.events import Event, Kind
from anyservice_core.rollout.identity import rollout_key
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.orders import Order
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import Outcome
from anyservice_core.settings import state_dir

__all__ = ["Ledger", "Place"]

M = TypeVar("M", bound=BaseModel)

_BUILDS: Final = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Which service, of which control plane; ``None`` is the server's default. ``command``: how it was run last."""

    host: str
    service: str
    cloud: str | None = None
    project: str | None = None
    command: str = ""

    @classmethod
    def read(cls, content: Any) -> Place | None:
        """What a file says; ``None`` where it says something else."""
        try:
            return cls(**content)
        except TypeError:
            return None

    @property
    def key(self) -> str:
        """A name for a folder, that people recognise and no other service has."""
        content = json.dumps([self.host, self.cloud, self.project, self.service])
        words = re.sub(r"[^a-z0-9]+", "-", self.service.lower()).strip("-")[:40]
        return f"{words or 'service'}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


class Ledger:
    """What the rollouts of one service on this machine are remembered by.

    Reading never fails: what is not there or damaged is as good as forgotten. Writing raises ``OSError``.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._folder = Folder(_root(), place.key)
        self._story = Story(self._folder)
        self.events, self.tell, self.report = self._story.events, self._story.tell, self._story.report

    @classmethod
    def all(cls, **wanted: str | None) -> list[Ledger]:
        """Those of this machine by service: with this ``host``, ``service``, ``cloud``, ``project``, where given."""
        places = [place for path in _root().glob("*/service.json") if (place := Place.read(read(path)))]
        given = {name: value for name, value in wanted.items() if value is not None}
        found = [place for place in places if given.items() <= asdict(place).items()]
        return [cls(place) for place in sorted(found, key=lambda place: (place.service, place.key))]

    @property
    def folder(self) -> Path:
        """Where all of it is."""
        return self._folder.path

    @property
    def page(self) -> Path | None:
        """The report of the latest rollout that has ended, for a browser."""
        return self._story.page

    # ── what is remembered ──

    def journal(self) -> Journal | None:
        """The memory of the latest rollout."""
        return _read(self._folder("journal.json"), Journal)

    def remembered(self, config: ServiceConfig) -> Journal | None:
        """The memory of the latest rollout of this very build, to go on with; ``config`` is prepared."""
        known = [self._folder("journal.json"), *self._folder("builds").glob("*.json")]
        journals = (_read(path, Journal) for path in known)
        same = [one for one in journals if one and one.rollout_key == rollout_key(config, one.attempt)]
        return max(same, key=lambda one: (one.attempt, one.looked_at or 0.0), default=None)

    def save(self, journal: Journal) -> None:
        """Keep a journal; for good, if its build was condemned or is tried again after that.

        A run that had nothing to do leaves the memory of the one before it.
        """
        before = self.journal()
        if before is not None and _is_idle(journal, before):
            return
        self._introduce()
        text = journal.model_dump_json()
        write(self._folder.made("journal.json"), text)
        if journal.known_bad or journal.attempt:
            write(self._folder.made("builds", f"{journal.rollout_key}.json"), text)
            prune(self._folder("builds").glob("*.json"), _BUILDS)
        if before is None or before.orders_from != journal.orders_from:
            self._forget_orders(journal.orders_from)

    def plan(self) -> RolloutPlan | None:
        """The plan of the latest rollout, as it was told when a process last began to run it."""
        told = [event for event in self.events() if event.kind is Kind.STARTED]
        try:
            return RolloutPlan.parse(told[-1].data["plan"]) if told else None
        except (KeyError, PlanError):
            return None

    @property
    def open(self) -> bool:
        """Whether the latest rollout is not over: it runs, is paused, or lost its process."""
        journal = self.journal()
        return journal is not None and journal.outcome not in OVER

    # ── what people ask ──

    def order(self, order: Order) -> None:
        """Ask something of the rollout: whoever runs it takes it in at the next look."""
        write(self._folder.made("orders", f"{order.at:017.6f}-{order.id}.json"), order.model_dump_json())

    def orders(self) -> list[Order]:
        """What people have asked of the latest rollout so far, in order of time."""
        asked = (_read(path, Order) for path in sorted(self._folder("orders").glob("*.json")))
        return [order for order in asked if order]

    def _forget_orders(self, before: float) -> None:
        for path in self._folder("orders").glob("*.json"):
            order = _read(path, Order)
            if order is None or order.at < before:
                path.unlink(missing_ok=True)

    # ── who runs it ──

    def running(self) -> Holder | None:
        """The process that runs it now."""
        return RunLock(self._folder("run.lock")).holder()

    @contextmanager
    def held(self, *, wait: Callable[[Holder | None], None] | None = None) -> Iterator[RunLock]:
        """Be the one process of this machine that runs it.

        With ``wait`` its end is waited for if another process runs it, and ``wait`` is told of that one.
        Raises ``ConflictError`` else.
        """
        with RunLock(self._folder.made("run.lock")) as lock:
            if not lock.take(wait=wait):
                name, holder = self.place.service, lock.holder()
                raise ConflictError(
                    f"A rollout of {name!r} runs already: {holder or 'another process'}"
                    f"{f', with version {holder.version}' if holder and holder.version else ''}.",
                    status=409,
                    hint=f"`anyservice rollout status {name}` shows it. With --wait its end is waited for.",
                )
            yield lock

    def note(self, command: str) -> None:
        """Remember how it was run, so that people can be told how to go on."""
        self.place = replace(self.place, command=command)
        self._introduce(anew=True)

    def _introduce(self, *, anew: bool = False) -> None:
        """Write down whose folder this is."""
        path = self._folder.made("service.json")
        if anew or not path.exists():
            write(path, json.dumps(asdict(self.place)))

    # ── for a client ──

    def hooks(self, trouble: Callable[[OSError], None] | None = None) -> dict[str, Any]:
        """``on_save``, ``on_report`` and ``on_orders`` of a client whose rollout this ledger is to remember.

        A disk that takes nothing more must not stop a rollout: ``trouble`` is told of it, and it goes on.
        """

        def safely(keep: Callable[[Any], None], kind: type, value: Any) -> None:
            try:
                if isinstance(value, kind):
                    keep(value)
            except OSError as error:
                if trouble is not None:
                    trouble(error)

        return {
            "on_save": lambda _key, value: safely(self.save, Journal, value),
            "on_report": lambda event: safely(self.tell, Event, event),
            "on_orders": lambda _key: self.orders(),
        }


def _is_idle(journal: Journal, before: Journal) -> bool:
    """Whether there was no change, or a build that is not tried again, so that the one before is still the latest."""
    if journal.outcome is Outcome.NO_CHANGE:
        return before.outcome in OVER
    return journal.known_bad and journal.rollout_key != before.rollout_key


def _root() -> Path:
    return state_dir() / "rollouts"


def _read(path: Path, model: type[M]) -> M | None:
    try:
        return model.model_validate(read(path))
    except ValueError:
        return None
