"""A plane for tests: the real API, store and reconciling loop, without processes, sockets or waiting.

    plane = FakePlane()
    with plane.client() as client:
        client.deploy(ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}]))
        client.wait("recommender")                 # 5 seconds pass on the plane's clock, none on yours

It shares every rule with the embedded plane (``plane.api``, ``plane.reconcile``), so it cannot drift
from it; only hosts and router are stand-ins. Time is moved by hand (``advance``), or by the clients
that it gives out whenever they sleep. What goes wrong is said beforehand: ``break_version``,
``sicken``, ``kill``, ``drop_answer``, ``lose_request``. Users' own tests may use it as ours do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import httpx

from anyservice_core.client import AsyncClient, Client
from anyservice_core.effects import Effect, Now, Sleep
from anyservice_core.errors import RejectedError
from anyservice_core.plane.api import Api
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.engines.base import EngineState, Observed, VersionSpec
from anyservice_core.plane.loop import Loop
from anyservice_core.plane.reading import check_type, parse
from anyservice_core.plane.reconcile import Options
from anyservice_core.plane.router import Route, SlotCounters
from anyservice_core.plane.routes import ApiRequest
from anyservice_core.plane.state import Service, Version
from anyservice_core.plane.store import Store

__all__ = ["FakePlane"]

HOST = "http://plane.test"
TOKEN = "aph0_fake"  # noqa: S105
TICK_S = 0.25
LONG_TICK_S = 5.0
EPOCH = 1_800_000_000.0


@dataclass
class FakeEngine:
    """Hosts that exist on paper: each is STARTING for ``start_s``, then RUNNING, unless told otherwise.

    One that is asked for another capacity has it ``scale_s`` later.
    """

    clock: Callable[[], float]
    start_s: float
    scale_s: float = 1.0
    name: str = "fake"
    specs: dict[str, VersionSpec] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    faults: dict[str, Observed] = field(default_factory=dict)
    scaled: dict[str, tuple[int, int, int, float]] = field(
        default_factory=dict
    )  # least, most, goal, and since when

    def check(self) -> None:
        return

    def start(self, spec: VersionSpec) -> None:
        self.specs[spec.version_id] = spec
        if spec.version_id not in self.started:
            self.started[spec.version_id] = self.clock()
            self.scaled[spec.version_id] = (spec.capacity, spec.capacity, spec.capacity, 0.0)

    def observe(self, version_id: str) -> Observed:
        if version_id not in self.started:
            return Observed(EngineState.GONE)
        if version_id in self.faults:
            return replace(self.faults[version_id], capacity=self.capacity(version_id))
        if self.clock() - self.started[version_id] < self.start_s:
            return Observed(EngineState.STARTING, capacity=self.capacity(version_id))
        return Observed(EngineState.RUNNING, ("127.0.0.1", 1), capacity=self.capacity(version_id))

    def capacity(self, version_id: str) -> tuple[int, int]:
        """The percent of its replicas that a version has by now, at least and at most."""
        least, most, goal, asked_at = self.scaled[version_id]
        return (goal, goal) if self.clock() - asked_at >= self.scale_s else (least, most)

    def scale(self, version_id: str, percent: int) -> None:
        if version_id in self.started and self.scaled[version_id][2] != percent:
            least, most = self.capacity(version_id)
            self.scaled[version_id] = (min(least, percent), max(most, percent), percent, self.clock())

    def stop(self, version_id: str) -> None:
        self.started.pop(version_id, None)

    def known(self) -> set[str]:
        return set(self.started)

    def stop_all(self) -> None:
        self.started.clear()


@dataclass
class FakeRouter:
    """Counts requests that nobody sends: ``rps`` of them a second, split by weight, failing as told."""

    clock: Callable[[], float]
    rps: float = 0.0
    error_rate: Callable[[str], float] = lambda _: 0.0
    routes: Sequence[Route] = ()
    counts: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    counted_at: float | None = None

    def apply(self, routes: Sequence[Route]) -> None:
        self._count()
        self.routes = list(routes)

    def counters(self) -> list[SlotCounters]:
        self._count()
        return [_counters(service_id, slot, count) for (service_id, slot), count in self.counts.items()]

    def _count(self) -> None:
        now = self.clock()
        passed, self.counted_at = now - (self.counted_at or now), now
        for route in self.routes:
            weights = {slot: server.weight for slot, server in route.servers.items() if server}
            total = sum(weights.values())
            for slot, weight in weights.items():
                server = route.servers[slot]
                count = self.counts.setdefault((route.service_id, slot), {"2xx": 0.0, "5xx": 0.0})
                share = self.rps * passed * weight / total if total else 0.0
                bad = share * self.error_rate(server.version_id if server else "")
                count["5xx"] += bad
                count["2xx"] += share - bad


def _counters(service_id: str, slot: Any, count: Mapping[str, float]) -> SlotCounters:
    whole = {key: int(number) for key, number in count.items()}
    return SlotCounters(service_id=service_id, slot=slot, incarnation="fake", sessions=0, responses=whole)


class FakePlane:
    """A plane in this process, its time in your hands.

    Args:
        start_s: how long a version takes to start, in the plane's seconds.
        scale_s: how long it takes to come to another capacity, where ``max_surge_percent`` asks for that.
        options: the reconciling loop's patience; the defaults are the real plane's.

    ``now`` is the plane's clock in seconds since the epoch. ``requests`` lists what clients asked,
    as ``"PUT /api/v2/services-v2/apply"``.
    """

    def __init__(self, *, start_s: float = 5.0, scale_s: float = 1.0, options: Options | None = None) -> None:
        self.now = EPOCH
        self.requests: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="anyservice-fake-", ignore_cleanup_errors=True)
        self._error_rates: dict[str, float] = {}
        self._drop_next: list[str] = []
        self._others: dict[str, Callable[[httpx.Request], httpx.Response]] = {}
        self._lose_next: list[str] = []
        self.store = Store(None)
        self.bundles = Bundles(Path(self._folder.name), key=TOKEN)
        self.engine = FakeEngine(self._clock, start_s, scale_s)
        self.router = FakeRouter(self._clock, error_rate=self._error_rate)
        self.api = Api(self.store, self.bundles, TOKEN, self._clock, "fake", lambda taken: 8700 + len(taken))
        self._loop = Loop(
            self.store,
            self.bundles,
            engines={"fake": self.engine},
            router=self.router,
            clock=self._clock,
            options=options or Options(),
        )

    def close(self) -> None:
        """Remove what was uploaded."""
        self.store.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── clients ──

    def client(self, **options: Any) -> Client:
        """Give a client whose sleeping moves this plane's clock."""
        return _FakeClient(self, **options)

    def async_client(self, **options: Any) -> AsyncClient:
        """Give an async client whose sleeping moves this plane's clock."""
        return _FakeAsyncClient(self, **options)

    @property
    def transport(self) -> httpx.MockTransport:
        """The plane as an httpx transport, sync and async, for clients of your own."""
        return httpx.MockTransport(self._handle)

    # ── time ──

    def advance(self, seconds: float) -> None:
        """Let time pass on the plane; its loop ticks as often as there is something to do."""
        end = self.now + seconds
        quiet = 0
        while self.now < end:
            self.now = min(end, self.now + (TICK_S if quiet < 8 else LONG_TICK_S))
            before = self.store.services()
            self._loop.tick()
            quiet = quiet + 1 if self.store.services() == before else 0

    def _clock(self) -> float:
        return self.now

    # ── what goes wrong ──

    def break_version(self, name: str, message: str = "ImportError: no module named 'main'") -> None:
        """Let the host of this version, or of the update in place under way, report that it will not come up."""
        self.engine.faults[self._host(name)] = Observed(EngineState.FAILED, None, message)

    def sicken(self, name: str, message: str = "health check failed") -> None:
        """Let this version run, but not well, until it is healed."""
        self.engine.faults[self._host(name)] = Observed(EngineState.UNHEALTHY, ("127.0.0.1", 1), message)

    def heal(self, name: str) -> None:
        """Undo ``break_version`` or ``sicken``."""
        self.engine.faults.pop(self._host(name), None)

    def kill(self, name: str) -> None:
        """End the host of this version without a word; the plane will start it again."""
        self.engine.stop(self._version(name).host)

    def send_traffic(self, rps: float, *, errors: Mapping[str, float] | None = None) -> None:
        """Let users send ``rps`` requests a second from now on; ``errors`` is the failing share by version name."""
        self.router.counters()
        self.router.rps = rps
        self._error_rates = dict(errors or {})

    def serve(self, address: str, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        """Let what is asked at ``address`` and below it be answered so: a metric store, or the service itself.

        Several threads may ask at once.
        """
        self._others[address] = answer

    def drop_answer(self, request: str) -> None:
        """Do the next ``"METHOD /path"`` that starts so, but lose its answer on the way back."""
        self._drop_next.append(request)

    def lose_request(self, request: str) -> None:
        """Lose the next ``"METHOD /path"`` that starts so on its way here, so that nothing is done."""
        self._lose_next.append(request)

    def version_id(self, name: str) -> str:
        """Give the id of the live version of this name.

        Raises:
            KeyError: there is none.
        """
        return self._version(name).id

    def _version(self, name: str) -> Version:
        return next((v for s in self.store.services() for v in s.versions if v.name == name), None) or _none(
            name
        )

    def _host(self, name: str) -> str:
        """The host that was asked for last, and is not given up."""
        version = self._version(name)
        update = version.update
        return version.host_of(update.generation) if update and not update.failed else version.host

    def service(self, name: str) -> Service:
        """Give what the plane knows of a service.

        Raises:
            KeyError: there is none.
        """
        return next((s for s in self.store.services() if s.name == name), None) or _none(name)

    def _error_rate(self, version_id: str) -> float:
        if not self._error_rates:
            return 0.0
        return next(
            (
                self._error_rates.get(v.name, 0.0)
                for s in self.store.services()
                for v in s.versions
                if v.id == version_id
            ),
            0.0,
        )

    # ── the wire ──

    def _handle(self, request: httpx.Request) -> httpx.Response:
        for address, answer in self._others.items():
            if str(request.url).startswith(address):
                return answer(request)
        line = f"{request.method} {request.url.path}"
        self.requests.append(line)
        if _taken(line, self._lose_next):
            raise httpx.WriteError("the request was lost", request=request)
        response = self._upload(request) or self._answer(request)
        if _taken(line, self._drop_next):
            raise httpx.ReadError("the answer was lost", request=request)
        return response

    def _upload(self, request: httpx.Request) -> httpx.Response | None:
        folder, _, name = request.url.path.rpartition("/")
        if folder != "/plane/v1/bundles" or request.method != "PUT":
            return None
        draft = self.bundles.draft()
        draft.write_bytes(request.read())
        try:
            self.bundles.keep(name, draft, issued=self.bundles.admit(name, request.url.params))
        except RejectedError as error:
            return httpx.Response(error.status, json={"error": {"detail": str(error)}})
        finally:
            draft.unlink(missing_ok=True)
        return httpx.Response(200)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        try:
            if raw := request.read():
                check_type(request.headers)
            body = parse(raw)
        except RejectedError as error:
            return httpx.Response(error.status, json={"error": {"detail": str(error)}})
        asked = ApiRequest(
            method=request.method,
            path=request.url.path,
            query=ApiRequest.parse_query(request.url.query.decode()),
            headers={key.lower(): value for key, value in request.headers.items()},
            body=body,
            base_url=HOST,
        )
        reply = self.api.answer(asked)
        headers = dict(reply.headers)
        if reply.body is None or isinstance(reply.body, str):
            return httpx.Response(reply.status, text=reply.body or "", headers=headers)
        return httpx.Response(reply.status, json=reply.body, headers=headers)


def _taken(line: str, faults: list[str]) -> bool:
    """Whether a fault is meant for this request; each is used once."""
    found = next((start for start in faults if line.startswith(start)), None)
    if found is not None:
        faults.remove(found)
    return found is not None


def _none(name: str) -> Any:
    raise KeyError(f"no live version or service '{name}'")


class _FakeClient(Client):
    def __init__(self, plane: FakePlane, **options: Any) -> None:
        super().__init__(HOST, TOKEN, transport=plane.transport, **options)
        self._plane = plane

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Sleep(seconds):
                return self._plane.advance(seconds)
            case Now():
                return self._plane.now
            case _:
                return super()._perform(effect)


class _FakeAsyncClient(AsyncClient):
    def __init__(self, plane: FakePlane, **options: Any) -> None:
        super().__init__(HOST, TOKEN, transport=plane.transport, **options)
        self._plane = plane

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Sleep(seconds):
                return self._plane.advance(seconds)
            case Now():
                return self._plane.now
            case _:
                return await super()._perform(effect)
