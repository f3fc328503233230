"""The shell around the router's pure rooms: reads the counters, finds what is to be moved, and moves it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path

from anyservice_core.errors import PlaneError
from anyservice_core.plane.ports import obstacle
from anyservice_core.plane.router.config import NOBODY, VERSIONS, maps, render, structure
from anyservice_core.plane.router.gateway import choose, chosen, gateway_file, names
from anyservice_core.plane.router.haproxy import HAProxy, parse_stat, parse_table, write_private
from anyservice_core.plane.router.moves import commands, desired
from anyservice_core.plane.router.routes import Route, Slot, check
from anyservice_core.plane.router.tally import Reading, SlotCounters, Tally, attach, counted, fold, told_apart

__all__ = ["Router"]


class Router:
    """Splits each service's traffic between its versions. One object a state directory at a time.

    Args:
        state_dir: where configuration, counters and the record of the process are kept.
        run_dir: where the socket is; its path must be short.
        gateway: the port at which all services are to be reached, or one below it if it is taken; ``None``: none.
            Which one it became is in the attribute of that name, once it was chosen.
    """

    def __init__(self, state_dir: Path, run_dir: Path, gateway: int | None = None) -> None:
        self._wanted_gateway, self._gateway_path = gateway, gateway_file(state_dir)
        self.gateway = chosen(self._gateway_path, gateway) if gateway else None
        self._proxy = HAProxy(state_dir, run_dir)
        self._tally_path = state_dir / "router" / "counters.json"
        self._tally = self._load()

    def apply(self, routes: Sequence[Route]) -> None:
        """Make HAProxy match ``routes``: start or reload it, or move addresses, weights and tokens.

        Costs about a millisecond when nothing differs. No routes, no HAProxy.

        Raises:
            ConfigError: a route that HAProxy could not take; nothing was changed.
            PlaneError: a port is in use, or HAProxy refused; the services that it had before go on,
                and among them what could be moved was moved.
        """
        check(routes)
        if not routes:
            self.stop()
        elif not self._proxy.running():
            self._start(routes)
        elif self._proxy.record.get("structure") != self._structure(routes):
            self._reload(routes)
        else:
            self._move(routes)

    def counters(self) -> list[SlotCounters]:
        """Give the traffic of every occupied seat, added up over reloads and restarts; keep its log short meanwhile."""
        self._proxy.trim()
        readings = self._read()
        self._keep(fold(self._tally, readings))
        sessions = {seat: sum(r.sessions.get(seat, 0) for r in readings) for seat in self._tally.totals}
        return [
            SlotCounters(
                seat[:-2], _slot(seat), total.incarnation, sessions[seat], *told_apart(total.responses)
            )
            for seat, total in self._tally.totals.items()
        ]

    def running(self) -> bool:
        """Say whether an HAProxy of this state directory runs."""
        return self._proxy.running()

    def stop(self) -> None:
        """End HAProxy, requests under way included; return when none of its processes is left."""
        if self._proxy.running():
            self.counters()
        self._proxy.stop()

    # ── three ways to get there ──

    def _start(self, routes: Sequence[Route]) -> None:
        self._proxy.stop()  # what a killed one may have left
        _check_ports(routes)
        self._choose_gateway(routes)
        self._write(routes)
        self._proxy.start()
        self._settled(routes)

    def _reload(self, routes: Sequence[Route]) -> None:
        before = self._proxy.read()
        if self.gateway is None:
            self._choose_gateway(routes)
        try:
            _check_ports([route for route in routes if route.port not in self._proxy.record.get("ports", [])])
            self._proxy.hold()
            self.counters()
            self._write(routes)
            self._proxy.reload()
        except PlaneError:
            self._proxy.restore(before)
            self._lead(routes)  # what does not hang on the new structure
            raise
        self._settled(routes)

    def _choose_gateway(self, routes: Sequence[Route]) -> None:
        if self._wanted_gateway:
            choose(self._gateway_path, self._wanted_gateway, [route.port for route in routes])
            self.gateway = chosen(self._gateway_path, self._wanted_gateway)

    def _write(self, routes: Sequence[Route]) -> None:
        self._proxy.write(render(routes, self.gateway), {**maps(routes), **names(routes)})

    def _structure(self, routes: Sequence[Route]) -> str:
        """What it was asked for counts as well, so that one is chosen, once, for an HAProxy that runs without."""
        return f"{structure(routes, self.gateway)} {self._wanted_gateway}"

    def _settled(self, routes: Sequence[Route]) -> None:
        self._proxy.note(structure=self._structure(routes), ports=[route.port for route in routes])
        self._seat(routes)

    def _move(self, routes: Sequence[Route]) -> None:
        self._lead(routes)
        self._write(routes)

    def _lead(self, routes: Sequence[Route]) -> None:
        goal, worker = desired(routes), self._proxy.workers()[0]
        todo = commands(self._proxy.state(worker), goal)
        if not todo:
            return
        self._seat(routes)
        reply = self._proxy.tell(worker, todo)
        if commands(self._proxy.state(worker), goal):
            raise PlaneError(f"the router (HAProxy) did not do as told: {' '.join(reply.split())[:500]}")

    # ── counting ──

    def _seat(self, routes: Sequence[Route]) -> None:
        """Begin to count anew for each version that takes a seat; what was counted so far stays the old one's."""
        versions = {seat: v for seat, v in maps(routes)[VERSIONS].items() if v != NOBODY}
        if {seat: total.version_id for seat, total in self._tally.totals.items()} != versions:
            self._keep(attach(fold(self._tally, self._read()), versions, lambda: uuid.uuid4().hex[:12]))

    def _read(self) -> list[Reading]:
        if not self._proxy.running():
            return []
        present, *old = self._proxy.workers()
        busy = [pid for pid in old if not self._proxy.idle(pid)]  # asked before their last reading
        readings = [self._read_worker(pid) for pid in (present, *old)]
        self._proxy.release(keep=[present, *busy])
        return readings

    def _read_worker(self, pid: int) -> Reading:
        session = self._proxy.session()
        unanswered, took = (
            parse_table(self._proxy.tell(pid, [f"show table {name}"])) for name in ("unanswered", "took")
        )
        stats = parse_stat(self._proxy.tell(pid, ["show stat"]))
        return Reading(
            worker=f"{session.sid}-{session.start_ticks}-{pid}" if session else str(pid),
            counts={s: counted(row, unanswered.get(s, [0])[0], took.get(s, [])) for s, row in stats.items()},
            sessions={seat: int(row["scur"] or 0) for seat, row in stats.items()},
        )

    def _load(self) -> Tally:
        try:
            return Tally.from_dict(json.loads(self._tally_path.read_text()))
        except (OSError, ValueError, TypeError, AttributeError):
            return Tally()

    def _keep(self, tally: Tally) -> None:
        if tally != self._tally:
            self._tally = tally
            self._tally_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(self._tally_path, json.dumps(tally.to_dict()))


def _slot(seat: str) -> Slot:
    return "a" if seat.endswith("/a") else "b"


def _check_ports(routes: Sequence[Route]) -> None:
    """Raise ``PlaneError`` if something else listens on a port that a route needs."""
    for route in routes:
        if error := obstacle(route.port):
            raise PlaneError(
                f"port {route.port} of service {route.service_id} cannot be used: {error.strerror}.",
                hint="Stop what listens there, or deploy the service under another name to get another port.",
            ) from error
