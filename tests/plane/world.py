"""Hosts and a router on paper, for the pure steps to act on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

from anyservice_core.models.wire import ApplyService
from anyservice_core.plane.changes import Birth, deploy
from anyservice_core.plane.engines.base import EngineState, Observed, split_host_id
from anyservice_core.plane.reconcile import Options, Sight, step
from anyservice_core.plane.runs import Run, begun
from anyservice_core.plane.state import Service, Version

__all__ = ["World", "apply"]


def apply(
    version: str | None = None,
    *,
    percent: int | None = None,
    code: str = "main:app",
    in_place: bool = False,
    serve: dict[str, Any] | None = None,
    **more: Any,
) -> ApplyService:
    return ApplyService.model_validate(
        {
            "name": "svc",
            "version": version,
            "ray_serve_config": {"applications": [{"import_path": code}], **(serve or {})},
            "build_id": "bld",
            "compute_config_id": "cpt",
            "config": {},
            "canary_percent": percent,
            "rollout_strategy": "IN_PLACE" if in_place else "ROLLOUT",
            **more,
        }
    )


@dataclass
class World:
    """Hosts and router as the step sees them; ``tick`` carries its commands out.

    What is ``broken``, by a version's name or by its import path, fails to start; what is ``slow`` goes
    on starting until it is no longer in there. Each host that starts has an address of its own. One whose
    capacity shall change has it ``late`` ticks later.
    """

    options: Options = field(default_factory=lambda: Options(ladder_hold_s=2.0, drain_s=10.0))
    now: float = 1000.0
    hosts: dict[str, Observed] = field(default_factory=dict)
    sessions: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    routed: bool = True
    service: Service | None = None
    started: list[str] = field(default_factory=list)
    late: int = 0
    scaling: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # to which percent, and in how many ticks
    scaled: list[tuple[str, int]] = field(default_factory=list)
    _ports: Any = field(default_factory=lambda: itertools.count(9000))

    def deploy(self, *args: Any, **kwargs: Any) -> Service:
        birth = Birth(self.now, "fake", "cld", "prj", lambda: 8700)
        self.service = deploy(self.service, apply(*args, **kwargs), birth)
        return self.service

    def tick(self, times: int = 1) -> Service:
        for _ in range(times):
            self.now += 0.5
            self._scale()
            assert self.service is not None
            taken = step(
                self.service,
                Sight(dict(self.hosts), dict(self.sessions), self.routed),
                self.now,
                self.options,
            )
            self.service = taken.service
            for run in taken.start:
                self.started.append(run.host)
                self.hosts[run.host] = self._start(run)
                self.service = begun(self.service, run.host, self.now)
            for run in taken.stop:
                self.hosts[run.host] = Observed(EngineState.GONE)
            for run in taken.scale:
                if self.scaling.get(run.host, (None, 0))[0] != run.capacity:
                    self.scaling[run.host] = (run.capacity, self.late)
                    self.scaled.append((run.host, run.capacity))
                    self._between(run)
        assert self.service is not None
        return self.service

    def _start(self, run: Run) -> Observed:
        named = self._named(run)
        if named & self.broken:
            return Observed(EngineState.FAILED, None, "no module named 'main'")
        if named & self.slow:
            return Observed(EngineState.STARTING, None, "importing", capacity=(run.capacity, run.capacity))
        return Observed(
            EngineState.RUNNING, ("127.0.0.1", next(self._ports)), capacity=(run.capacity, run.capacity)
        )

    def _between(self, run: Run) -> None:
        """Let a host have anything between what it had and what it shall have."""
        if there := self.hosts[run.host].capacity:
            between = (min(*there, run.capacity), max(*there, run.capacity))
            self.hosts[run.host] = replace(self.hosts[run.host], capacity=between)

    def _scale(self) -> None:
        for host, (percent, left) in list(self.scaling.items()):
            if left:
                self.scaling[host] = (percent, left - 1)
                continue
            del self.scaling[host]
            if self.hosts[host].capacity is not None:
                self.hosts[host] = replace(self.hosts[host], capacity=(percent, percent))

    def _named(self, run: Run) -> set[str]:
        assert self.service is not None
        version = next(v for v in self.service.versions if v.id == split_host_id(run.host)[0])
        code = run.spec["ray_serve_config"]["applications"][0]["import_path"]
        return {code, version.name} if run.host == version.host else {code}

    def come_up(self, host: str) -> None:
        """Let a host that is starting answer."""
        address = ("127.0.0.1", next(self._ports))
        self.hosts[host] = Observed(EngineState.RUNNING, address, capacity=self.hosts[host].capacity)

    def lose(self, host: str) -> None:
        self.hosts[host] = Observed(EngineState.GONE)

    @property
    def primary(self) -> Version:
        assert self.service is not None
        return self.service.primary

    def running(self) -> set[str]:
        return {host for host, seen in self.hosts.items() if seen.state is not EngineState.GONE}
