"""The real API, store and loop over hosts and a router on paper; the plane among them may die at any effect.

Hosts, router and the store's file outlive the plane, as processes and disk do. What the plane does to them goes
over a ``Fuse``: before and after each of these effects it may end without a word, as by SIGKILL, and a new plane
starts on what it left. The promises that can be seen from outside are asserted where they could be broken.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anyservice_core.errors import PlaneError
from anyservice_core.plane.api import Api
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.engines.base import EngineState, Observed, VersionSpec
from anyservice_core.plane.lifecycle import SERVICE, VERSION
from anyservice_core.plane.loop import Loop
from anyservice_core.plane.reconcile import Options
from anyservice_core.plane.router import Route, SlotCounters
from anyservice_core.plane.router.moves import Seat, State, commands, desired
from anyservice_core.plane.routes import ApiReply, ApiRequest
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import Store

__all__ = ["Crash", "Universe", "within"]

TOKEN = "aph0_universe"
TICK_S, LONG_TICK_S = 0.5, 5.0


class Crash(BaseException):
    """The plane's process ends here."""


@dataclass
class Fuse:
    """Ends the plane at the ``left``-th effect from now; each plane has its own, so a dead one does nothing more."""

    left: int | None = None
    only: str = ""  # count effects of this name alone
    blown: bool = False

    def __call__(self, name: str) -> None:
        if self.blown:
            raise Crash
        if self.left is not None and self.only in {"", name}:
            self.left -= 1
            if self.left <= 0:
                self.blown = True
                raise Crash


# ── hosts ───────────────────────────────────────────────────────────────────


@dataclass
class Hosts:
    """An engine on paper: what it started is here whoever asks, and a host that died is known until it is stopped.

    Code in ``broken`` does not come up, code in ``slow`` takes twenty seconds; ``deaths`` counts those that died.
    A host that is scaled has its new capacity ``scale_s`` later, and until then something in between.
    """

    clock: Callable[[], float]
    name: str = "paper"
    fuse: Fuse = field(default_factory=Fuse)
    pull: Callable[[tuple[str, int]], int] = lambda _: 0
    born: dict[str, float] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    code: dict[str, str] = field(default_factory=dict)
    ill: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    deaths: Counter[str] = field(default_factory=Counter)
    ports: dict[str, int] = field(default_factory=dict)
    scale_s: float = 1.5
    scaled: dict[str, tuple[int, int, int, float]] = field(
        default_factory=dict
    )  # least, most, goal, and since when

    def check(self) -> None:
        return

    def start(self, spec: VersionSpec) -> None:
        self.fuse("start")
        host = spec.version_id
        if host not in self.born or host in self.dead:
            self.born[host] = self.clock()
            self.code[host] = spec.applications[0]["import_path"]
            self.dead.discard(host)
            self.ill.discard(host)
            self.scaled[host] = (spec.capacity, spec.capacity, spec.capacity, 0.0)
        self.fuse("started")

    def scale(self, host: str, percent: int) -> None:
        self.fuse("scale")
        if host in self.born and self.scaled[host][2] != percent:
            least, most = self.capacity(host)
            self.scaled[host] = (min(least, percent), max(most, percent), percent, self.clock())
        self.fuse("scaled")

    def capacity(self, host: str) -> tuple[int, int]:
        least, most, goal, asked_at = self.scaled[host]
        return (goal, goal) if self.clock() - asked_at >= self.scale_s else (least, most)

    def taken(self, host: str) -> int:
        """The most that it may have of its replicas now."""
        runs = host in self.running() and self.code[host] not in self.broken
        return max(self.capacity(host)) if runs else 0

    def observe(self, host: str) -> Observed:
        if host not in self.born:
            return Observed(EngineState.GONE, message="nothing runs")
        if host in self.dead:
            return Observed(EngineState.GONE, message="its host process died")
        if self.code[host] in self.broken:
            return Observed(EngineState.FAILED, message="no module named 'main'")
        if self.clock() - self.born[host] < (20.0 if self.code[host] in self.slow else 1.0):
            return Observed(EngineState.STARTING, message="importing", capacity=self.capacity(host))
        state = EngineState.UNHEALTHY if host in self.ill else EngineState.RUNNING
        message = "ill" if host in self.ill else ""
        return Observed(state, self.address(host), message, capacity=self.capacity(host))

    def stop(self, host: str) -> None:
        self.fuse("stop")
        assert not self.serves(host) or not self.pull(self.address(host)), (
            f"{host} is stopped while it has traffic"
        )
        self.born.pop(host, None)
        self.dead.discard(host)
        self.fuse("stopped")

    def known(self) -> set[str]:
        return set(self.born)

    def stop_all(self) -> None:
        self.born.clear()

    # ── for those who watch ──

    def address(self, host: str) -> tuple[str, int]:
        return ("127.0.0.1", self.ports.setdefault(host, 10_000 + len(self.ports)))

    def serves(self, host: str) -> bool:
        return self.observe(host).state in {EngineState.RUNNING, EngineState.UNHEALTHY}

    def running(self) -> list[str]:
        return [host for host in self.born if host not in self.dead]

    def die(self, host: str) -> None:
        self.dead.add(host)
        self.deaths[host] += 1


# ── the router ──────────────────────────────────────────────────────────────


@dataclass
class Proxy:
    """HAProxy on paper, led by the real ``router.moves``, one command after the other."""

    fuse: Fuse = field(default_factory=Fuse)
    refuses: bool = False
    seats: dict[str, Seat] = field(default_factory=dict)
    maps: dict[str, dict[str, str]] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    def apply(self, routes: Sequence[Route]) -> None:
        self.fuse("route")
        if self.refuses:
            raise PlaneError("the router does not answer.")
        goal = desired(routes)
        self._reload(goal)
        for command in commands(State(self.seats, self.maps), goal):
            self._obey(command, goal)
            self.fuse("route")

    def _reload(self, goal: State) -> None:
        """Another set of services needs another process, which begins with all as it shall be."""
        if self.seats.keys() != goal.seats.keys():
            self.seats = dict(goal.seats)
            self.maps = {name: dict(content) for name, content in goal.maps.items()}
            self.busy &= self.seats.keys()

    def _obey(self, command: str, goal: State) -> None:
        before = self.pulls()
        match command.split():
            case ["set", "weight", seat, weight]:
                self.seats[seat] = replace(self.seats[seat], weight=int(weight))
            case ["set", "server", seat, "addr", host, "port", port]:
                self.seats[seat] = replace(self.seats[seat], address=(host, int(port)))
            case ["set", "server", seat, "state", state]:
                self.seats[seat] = replace(self.seats[seat], ready=state == "ready")
            case ["set", "map", name, key, value]:
                self.maps[name][key] = value
        for service, pull in self.pulls().items():
            shall = sum(seat.pull for name, seat in goal.seats.items() if name.partition("/")[0] == service)
            assert pull or not before[service] or not shall, f"nobody serves {service} after {command}"

    def counters(self) -> list[SlotCounters]:
        if self.refuses:
            raise PlaneError("the router does not answer.")
        return [
            SlotCounters(
                service_id=seat[:-2],
                slot="a" if seat.endswith("/a") else "b",
                incarnation="paper",
                sessions=int(seat in self.busy),
                responses={},
            )
            for seat in self.seats
        ]

    def pulls(self) -> Counter[str]:
        """How much weight there is for each service."""
        found: Counter[str] = Counter()
        for name, seat in self.seats.items():
            found[name.partition("/")[0]] += seat.pull
        return found

    def pull(self, address: tuple[str, int]) -> int:
        return sum(seat.pull for seat in self.seats.values() if seat.address == address)


# ── the store ───────────────────────────────────────────────────────────────


def within(table: Any, start: Any, end: Any, *, moves: int) -> bool:
    """Whether so many moves of a table, or fewer, lead from one state to the other."""
    reached = {start}
    for _ in range(moves):
        reached |= {to for state in reached for to in table[state].values()}
    return end in reached


class FragileStore(Store):
    """A store whose transactions may be lost before their commit, and whose disk may be full at it.

    Every change of state that it is given is held against the tables. One step of the loop, or one request, may be
    two moves: a host answers and is well, a deploy is asked for and its canary retires.
    """

    def __init__(self, path: Path, fuse: Fuse) -> None:
        self._fuse, self._depth = fuse, 0
        super().__init__(path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        outermost, self._depth = self._depth == 0, self._depth + 1
        try:
            with super().transaction():
                yield
                if outermost:
                    self._fuse("commit")
        finally:
            self._depth -= 1
        if outermost:
            self._fuse("committed")

    def save(self, service: Service) -> None:
        if before := self.service(service.id):
            assert within(SERVICE, before.state, service.state, moves=2), (before.state, service.state)
            known = {version.id: version.state for version in before.versions}
            for version in service.versions:
                was = known.get(version.id, version.state)
                assert within(VERSION, was, version.state, moves=2), (version.name, was, version.state)
        super().save(service)

    def full(self, *, it_is: bool) -> None:
        """Let every commit from now on fail, or none."""

        def denied(action: int, argument: str | None, *_: Any) -> int:
            commit = action == sqlite3.SQLITE_TRANSACTION and argument == "COMMIT"
            return sqlite3.SQLITE_DENY if commit else sqlite3.SQLITE_OK

        self._db.set_authorizer(denied if it_is else None)


# ── all of it ───────────────────────────────────────────────────────────────


class Universe:
    """A plane on ``folder`` that is started again whenever it died; time is moved by hand."""

    def __init__(self, folder: Path, *, options: Options | None = None) -> None:
        self.folder = folder
        self.options = options or Options(
            ladder_hold_s=2.0, drain_s=10.0, rollout_limit_s=600.0, sick_canary_s=5.0, steady_s=10.0
        )
        self.now = 1_000.0
        self.hosts = Hosts(self._clock)
        self.proxy = Proxy()
        self.hosts.pull = self.proxy.pull
        self.disk_full = False
        self.watch: Callable[[], None] = lambda: None  # called after every tick
        self.restarts = -1
        self.start()

    def _clock(self) -> float:
        return self.now

    def start(self) -> None:
        """Start a plane on what is there."""
        self.restarts += 1
        self.fuse = self.hosts.fuse = self.proxy.fuse = Fuse()
        self.store = FragileStore(self.folder / "plane.db", self.fuse)
        self.store.full(it_is=self.disk_full)
        bundles = Bundles(self.folder, key=TOKEN)
        self.api = Api(self.store, bundles, TOKEN, self._clock, "paper", lambda taken: 8700 + len(taken))
        self.loop = Loop(
            self.store,
            bundles,
            engines={"paper": self.hosts},
            router=self.proxy,
            clock=self._clock,
            options=self.options,
        )

    def kill(self) -> None:
        """End the plane between two effects, and start the next one."""
        self.store.close()
        self.start()

    def fill_the_disk(self, *, full: bool) -> None:
        self.disk_full = full
        self.store.full(it_is=full)

    # ── what happens ──

    def ask(self, method: str, path: str, body: Any = None) -> ApiReply | None:
        """Send a request; ``None`` if the plane died over it or had no room for it, so that nothing was promised."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        try:
            return self.api.answer(
                ApiRequest(method, f"/api/v2/services-v2{path}", headers=headers, body=body)
            )
        except Crash:
            self.kill()
        except sqlite3.DatabaseError:
            assert self.disk_full
        return None

    def tick(self, times: int = 1, *, seconds: float = TICK_S) -> None:
        for _ in range(times):
            self.now += seconds
            try:
                self.loop.tick()
            except Crash:
                self.kill()
            except sqlite3.DatabaseError:
                assert self.disk_full  # the daemon says so, and the next tick starts from what is there
            self.watch()

    def settle(self, seconds: float = 300.0) -> None:
        """Let no fault come from now on, heal what can be healed, and wait: long where nothing moves.

        It ends earlier when nothing has moved for longer than any patience of the plane's lasts but that with rollouts.
        """
        self.fuse.left, self.proxy.refuses = None, False
        self.hosts.ill.clear()
        self.proxy.busy.clear()
        self.fill_the_disk(full=False)
        end, quiet = self.now + seconds, 0
        while self.now < end and quiet < 30:
            before = self.store.services()
            self.tick(seconds=TICK_S if quiet < 12 else LONG_TICK_S)
            quiet = quiet + 1 if self.store.services() == before else 0

    # ── what can be seen ──

    def kept(self) -> dict[str, Service]:
        """Give what is on the disk by now, as another process reads it: what the next plane would know."""
        with sqlite3.connect(self.folder / "plane.db") as file:
            rows = file.execute("SELECT document FROM services").fetchall()
        file.close()
        found = [Service.model_validate(json.loads(document)) for (document,) in rows]
        return {service.id: service for service in found}

    def find(self, name: str) -> Service | None:
        """Give the service of this name that is not archived."""
        return next((one for one in self.store.services() if one.name == name and not one.archived), None)
