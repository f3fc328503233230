"""The plane's loop: look, take the reconciling step, keep it, carry it out, show the router.

A tick may fail or be cut short anywhere; the next one starts from what is really there. The store
is locked only while a step is written, never while hosts or the router are talked to.

The router is told before the store: who reads that a version has no traffic any more, or that new code
serves, must not meet the old one afterwards. A tick that is cut short between the two decides the same again.
A service that somebody changed meanwhile is left for the next tick, which comes at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from anyservice_core.errors import AnyserviceError, NotFoundError, PlaneError, RejectedError
from anyservice_core.models.enums import ServiceState, ServiceVersionState
from anyservice_core.plane import catalog
from anyservice_core.plane.addresses import bundles_of
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.engines.base import Engine, VersionSpec, split_host_id
from anyservice_core.plane.machine import cpus_of, this_machine
from anyservice_core.plane.news import differences
from anyservice_core.plane.reconcile import Options, Sight, Step, step
from anyservice_core.plane.registry import Registry
from anyservice_core.plane.router import Beyond, Route, Server, Slot, SlotCounters
from anyservice_core.plane.router.books import Ledger
from anyservice_core.plane.runs import Run, begun, cannot_start
from anyservice_core.plane.state import Service, Version
from anyservice_core.plane.store import Event, Store

__all__ = ["Loop", "RouterLike", "route"]

log = logging.getLogger(__name__)
COLLECT_S = 3600.0


class RouterLike(Protocol):
    """What the loop needs of a router."""

    def apply(self, routes: Sequence[Route]) -> None: ...
    def counters(self) -> list[SlotCounters]: ...


class Loop:
    """Moves every service towards what was asked for, one ``tick`` at a time.

    Args:
        engines: by name; a version keeps the engine it was born with.
        clock: seconds since the epoch.
        beyond: where else services are reached than on this machine.
    """

    def __init__(
        self,
        store: Store,
        bundles: Bundles,
        *,
        engines: Mapping[str, Engine],
        router: RouterLike,
        clock: Callable[[], float],
        options: Options,
        beyond: Beyond | None = None,
    ) -> None:
        self.store = store
        self.bundles = bundles
        self.engines = engines
        self.router = router
        self.clock = clock
        self.options = options
        self.beyond = beyond
        self._ledger = Ledger(store)
        self._registry = Registry(store)
        self._shown: dict[str, Route] = {}  # what the router was told last, and did
        self._fault = ""
        self._told: set[str] = set()
        self._surprises: set[str] = set()
        self._collected = clock()

    def tick(self) -> None:
        """Take one step for every service that is not at rest."""
        services = self.store.living()
        sessions = self._count(services)
        steps = [self._decide(service, sessions) for service in services]
        self._route([taken.service for taken in steps])
        kept = [taken for seen, taken in zip(services, steps, strict=True) if self._keep(seen, taken)]
        self._stop_strangers(services)
        for taken in kept:
            self._carry_out(taken)
        self._collect()

    # ── look ──

    def _count(self, services: Iterable[Service]) -> dict[str, int]:
        """Enter the router's counters into the books; give the open requests by version."""
        seats = {(s.id, slot): version.id for s in services for slot, version in s.seats()}
        try:
            counters = self.router.counters()
        except AnyserviceError as error:
            self._no_route(error)
            return {}
        self._ledger.enter(counters, seats)
        return {seats[c.service_id, c.slot]: c.sessions for c in counters if (c.service_id, c.slot) in seats}

    def _sight(self, service: Service, sessions: Mapping[str, int]) -> Sight:
        living = [v for v in service.versions if v.state is not ServiceVersionState.TERMINATED]
        hosts = {host: self.engines[v.engine].observe(host) for v in living for host in v.hosts}
        # It obeys if it does what the service asks for by now: a request may have changed that since the last tick.
        obeys = self._shown.get(service.id) == route(service, self.beyond)
        return Sight(hosts=hosts, sessions=sessions, routed=obeys, fault=self._fault)

    # ── decide and keep ──

    def _decide(self, seen: Service, sessions: Mapping[str, int]) -> Step:
        now = self.clock()
        try:
            taken = step(seen, self._sight(seen, sessions), now, self.options)
        except Exception as error:  # noqa: BLE001  told below: one service must not keep all others waiting
            self._surprise(seen, error)
            return Step(seen)
        if taken.service == seen:
            return taken
        return replace(taken, service=taken.service.replace(updated_at=now))

    def _keep(self, seen: Service, taken: Step) -> bool:
        """Write a step down, unless the service is not any more what the step was decided for."""
        with self.store.transaction():
            if self.store.service(seen.id) != seen:
                return False
            if taken.service != seen:
                self.store.save(taken.service)
                for event in differences(seen, taken.service, self.clock()):
                    self.store.note(event)
        return True

    # ── carry out ──

    def _carry_out(self, taken: Step) -> None:
        try:
            for run in taken.stop:
                self.engines[run.engine].stop(run.host)
            for run in taken.scale:
                self.engines[run.engine].scale(run.host, run.capacity)
            for run in taken.start:
                self._start(taken.service.id, run)
        except Exception as error:  # noqa: BLE001  as above
            self._surprise(taken.service, error)

    def _start(self, service_id: str, run: Run) -> None:
        """Start a host and note that; what is this machine's fault, and not the user's, is tried again."""
        problem = None
        try:
            self.engines[run.engine].start(self._spec(run))
        except AnyserviceError as error:
            problem = error
        except Exception as error:  # what nobody foresaw ends this deploy, with what is known of it
            log.exception("%s cannot be started", run.host)
            problem = RejectedError(
                f"the plane failed to start it: {type(error).__name__}: {error}", status=500
            )
        with self.store.transaction():
            service = self.store.service(service_id)
            if service is None:
                return
            service = begun(service, run.host, self.clock())
            if problem is not None:
                why, again = str(problem), isinstance(problem, PlaneError)
                service = cannot_start(service, run.host, why, again=again)
                self.store.note(Event(service_id, self.clock(), "fail", why, split_host_id(run.host)[0]))
            self.store.save(service)

    def _spec(self, run: Run) -> VersionSpec:
        serve: dict[str, Any] = run.spec["ray_serve_config"]
        return VersionSpec(
            version_id=run.host,
            applications=tuple(
                self._localised(a, run.spec.get("fetched") or {}) for a in serve["applications"]
            ),
            http_options=serve.get("http_options") or {},
            grpc_options=serve.get("grpc_options") or {},
            logging_config=serve.get("logging_config"),
            tracing_config=run.spec.get("tracing_config"),
            external_storage=run.spec.get("ray_gcs_external_storage_config"),
            cpus=self._cpus(run.spec["compute_config_id"]),
            capacity=run.capacity,
        )

    def _cpus(self, compute_id: str) -> int | None:
        try:
            return cpus_of(self._registry.computes.get(compute_id).config, this_machine())
        except NotFoundError:  # of an earlier plane, which kept none
            return None

    def _localised(self, application: Mapping[str, Any], fetched: Mapping[str, str]) -> dict[str, Any]:
        """Give the application with uploaded and fetched directories replaced by local ones."""
        environment = dict(application.get("runtime_env") or {})
        if working_dir := environment.get("working_dir"):
            environment["working_dir"] = str(self.bundles.directory(fetched.get(working_dir, working_dir)))
        if modules := environment.get("py_modules"):
            environment["py_modules"] = [
                str(self.bundles.directory(fetched.get(module, module))) for module in modules
            ]
        return {**application, "runtime_env": environment}

    def _route(self, services: Iterable[Service]) -> None:
        routes = [found for service in services if not at_rest(service) and (found := self._routed(service))]
        try:
            self.router.apply(routes)
            self._shown, self._fault = {one.service_id: one for one in routes}, ""
            self._told.clear()
        except AnyserviceError as error:
            self._no_route(error)

    def _routed(self, service: Service) -> Route | None:
        try:
            return route(service, self.beyond)
        except Exception as error:  # noqa: BLE001  as above
            self._surprise(service, error)
            return self._shown.get(service.id)

    def _surprise(self, service: Service, error: Exception) -> None:
        """Tell what nobody foresaw of a service, once; it stays as it is, and the others go on."""
        told = f"{service.name} ({service.id}) stays as it is: {type(error).__name__}: {error}"
        if told not in self._surprises:
            self._surprises.add(told)
            log.error("%s", told, exc_info=error)

    def _no_route(self, error: AnyserviceError) -> None:
        self._shown, self._fault = {}, str(error)
        self._tell(f"router: {error}")

    def _stop_strangers(self, services: Iterable[Service]) -> None:
        """Stop hosts that no service owns: what a crash or a deletion left behind."""
        owned = {host for service in services for version in service.versions for host in version.hosts}
        for engine in self.engines.values():
            for host in engine.known() - owned:
                engine.stop(host)

    def _collect(self) -> None:
        """Now and then remove uploads that no service needs any more, and what is old in the record."""
        if self.clock() - self._collected < COLLECT_S:
            return
        self._collected = self.clock()
        self.store.forget_events()
        used = {uri for one in self.store.services() for spec in one.specs for uri in bundles_of(spec)}
        if gone := self.bundles.collect(used):
            log.info("removed %d uploads that no service uses: %s", len(gone), ", ".join(sorted(gone)))

    def _tell(self, message: str) -> None:
        if message not in self._told:  # a fault is logged when it comes, not at every tick
            self._told.add(message)
            log.warning("%s", message)


def at_rest(service: Service) -> bool:
    """Say whether a service has ended and left nothing to look after."""
    return service.state is ServiceState.TERMINATED


def route(service: Service, beyond: Beyond | None = None) -> Route:
    """Give the route that a service's seats and weights amount to."""
    servers: dict[Slot, Server | None] = {"a": None, "b": None}
    for slot, version in service.seats():
        if version.address is not None:
            servers[slot] = Server(version.id, version.address, version.weight, grpc=_has_grpc(version))
    return Route(
        service_id=service.id,
        port=service.port,
        token=service.auth_token,
        servers=servers,
        second=service.second_token,
        grpc=any(_has_grpc(version) for version in service.versions),
        beyond=beyond,
        keep_alive_s=_keep_alive_s(service.primary),
        name=service.name if service.project_id == catalog.PROJECT.id else "",
    )


def _keep_alive_s(version: Version) -> int | None:
    options = version.spec["ray_serve_config"].get("http_options") or {}
    return options.get("keep_alive_timeout_s")


def _has_grpc(version: Version) -> bool:
    options = version.spec["ray_serve_config"].get("grpc_options") or {}
    return bool(options.get("grpc_servicer_functions"))
