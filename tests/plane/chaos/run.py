"""Everything that may happen to a service, while it is asked 200 times a second: what did its users see?

make chaos                                                   # Ray clusters, all of it, some ten minutes
python -m tests.plane.chaos.run --engine process --rollouts 2 --weights 10 --in-place 1
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyservice_core.models.config import ServiceConfig
from anyservice_core.plane.engines.procfs import Stat
from anyservice_core.plane.engines.sessions import Session
from tests.plane.chaos.app import write
from tests.plane.chaos.judge import History, Kill, Verdict, judge, table
from tests.plane.chaos.traffic import RATES, Traffic
from tests.plane.conftest import RealPlane, free_ports

__all__ = ["Chaos", "Plan", "report"]

POLL_S = 0.1
PERCENTS = (25, 50, 0, 75, 10, 60, 5, 90, 40, 99)


@dataclass(frozen=True)
class Plan:
    """How much of what happens; ``rps`` is the sum of all kinds of requests."""

    rollouts: int = 5
    weights: int = 50
    in_place: int = 3
    rps: float = sum(RATES.values())
    replicas: int = 2
    kills: tuple[str, ...] = ("plane", "canary", "worker", "only")


@dataclass
class Chaos:
    """One service ``svc`` on a plane of its own, in ``folder``."""

    plane: RealPlane
    folder: Path
    plan: Plan
    history: History = field(default_factory=History)
    kills: list[Kill] = field(default_factory=list)
    moments: list[tuple[float, str]] = field(default_factory=list)
    version: str = ""
    canary: str = ""
    tag: str = ""

    # ── what is done ──

    def run(self) -> Verdict:
        """Do all of it, and give what came of the traffic."""
        return self.under_traffic(self.all_of_it)

    def under_traffic(self, do: Callable[[], None]) -> Verdict:
        """Bring the service up, and do something while it is asked."""
        with self.plane.client() as client:
            status = self.first(client)
        port = int(status.query_url.rpartition(":")[2])
        rates = {kind: rate * self.plan.rps / sum(RATES.values()) for kind, rate in RATES.items()}
        with Traffic("127.0.0.1", port, status.query_auth_token, self.folder / "records", rates) as traffic:
            self.traffic = traffic
            traffic.pin([self.version])
            time.sleep(2)  # what is calm, to compare with
            do()
            time.sleep(1)
        return judge(traffic.records(), self.history, self.kills)

    def all_of_it(self) -> None:
        percents = itertools.cycle(PERCENTS)
        each = [len(part) for part in _parts(self.plan.weights, self.plan.rollouts)]
        for number, moves in enumerate(each, start=1):
            self.rollout(f"v{number + 1}", list(itertools.islice(percents, moves)), number)
            if number <= self.plan.in_place:
                self.update(f"{self.tag}+")
        for number in range(len(each), self.plan.in_place):
            self.update(f"{self.tag}+{number}")
        if "worker" in self.plan.kills:
            self.kill_worker()
        if "only" in self.plan.kills:
            self.kill_only()

    def killed_again_and_again(self, times: int, seed: int) -> None:
        """Kill the plane at some moment after each thing that was asked of it; the next plane goes on with that."""
        moment = random.Random(seed)
        for number in range(times):
            name = f"v{number // 3 + 2}"
            with self.plane.client() as client:
                goal = self.ask(client, number % 3, name)
            time.sleep(moment.uniform(0, 1.2))
            self.kill_plane(rest_s=moment.uniform(0, 0.5))
            with self.plane.client() as client:
                goal(client)

    def ask(self, client: Any, step: int, name: str) -> Callable[[Any], None]:
        """Ask for the next thing, and give the way to wait for it."""
        if step == 0:
            self.allow(self.tag, name)
            client.deploy(self.config(name), canary_percent=50)
            canary = client.status("svc").canary_version.id
            self.history.name(canary, name)
            return lambda client: self.came(client, name, canary)
        if step == 1:
            self.all_for(client, name)
            return lambda client: self.won(client, name)
        tag = f"{name}+"
        self.history.name(self.version, tag)
        self.allow(self.tag, tag)
        client.deploy(self.config(tag, named=name), in_place=True)
        return lambda client: self.replaced(client, tag)

    def came(self, client: Any, name: str, canary: str, percent: int = 50) -> None:
        self.reached(client, name, percent)
        self.canary = canary
        self.traffic.pin([self.version, canary])

    def all_for(self, client: Any, name: str) -> None:
        """Give the canary everything; the other one, which then leaves, is asked by name no more."""
        self.traffic.pin([self.canary])
        time.sleep(0.5)  # until the generator has heard of it
        self.allow(self.tag, name)
        client.shift("svc", canary_percent=100)

    def won(self, client: Any, name: str) -> None:
        status = self.settled(client, version=name)
        self.version, self.tag = status.primary_version.id, name
        self.allow(name)

    def replaced(self, client: Any, tag: str) -> None:
        self.settled(client)
        self.tag = tag
        self.allow(tag)

    def first(self, client: Any) -> Any:
        client.deploy(self.config("v1"))
        status = self.settled(client, version="v1")
        self.version, self.tag = status.primary_version.id, "v1"
        self.history.name(self.version, "v1")
        self.history.allow(time.monotonic(), "v1")
        return status

    def rollout(self, name: str, percents: list[int], number: int) -> None:
        """Bring a canary, move its weight about, and make it primary; something is killed meanwhile."""
        self.note(f"rollout of {name}")
        self.allow(self.tag, name)
        with self.plane.client() as client:
            client.deploy(self.config(name), canary_percent=10)
            canary = client.status("svc").canary_version.id
            self.history.name(canary, name)
            self.came(client, name, canary, 10)
            for percent in percents:
                self.shift(client, name, percent)
        if number == 1 and "plane" in self.plan.kills:
            self.kill_plane()
        with self.plane.client() as client:
            if number == self.plan.rollouts and "canary" in self.plan.kills:
                self.shift(client, name, 50)
                self.kill_canary(client, name, canary)
            self.all_for(client, name)
            self.won(client, name)

    def shift(self, client: Any, name: str, percent: int) -> None:
        self.allow(self.tag, name)
        client.shift("svc", canary_percent=percent)
        self.reached(client, name, percent)
        self.allow(*([self.tag] if percent == 0 else [self.tag, name]))
        self.note(f"{name} at {percent} %")

    def update(self, tag: str) -> None:
        """Give the version new code under its name."""
        self.note(f"update in place to {tag}")
        self.history.name(self.version, tag)
        self.allow(self.tag, tag)
        with self.plane.client() as client:
            client.deploy(self.config(tag, named=self.name), in_place=True)
            self.replaced(client, tag)
        self.note(f"{tag} serves")

    # ── what is done to it ──

    def kill_plane(self, rest_s: float = 1.0) -> None:
        self.note("kill -9 of the plane")
        self.plane.kill()
        time.sleep(rest_s)
        self.plane.up()
        self.note("the plane is back")

    def kill_canary(self, client: Any, name: str, version: str) -> None:
        """Kill all processes of the canary at once; wait until the plane has mended that."""
        self.traffic.pin([self.version])
        time.sleep(0.5)
        self.note(f"kill -9 of all of {name}")
        self.kill("the whole canary", version)
        time.sleep(0.5)
        self.reached(client, name, 50)
        self.traffic.pin([self.version, version])
        self.note(f"{name} is back")

    def kill_worker(self) -> None:
        """Kill one replica of the version that serves, if it has several."""
        workers = [s for session in self.sessions(self.version) for s in session.members() if _replica(s)]
        if len(workers) < 2:
            return
        self.note("kill -9 of a replica")
        begun = time.monotonic()
        os.kill(workers[0].pid, signal.SIGKILL)
        self.kills.append(Kill("one replica of two", begun, time.monotonic()))
        time.sleep(8)
        with self.plane.client() as client:
            self.settled(client)

    def kill_only(self) -> None:
        """Kill all of the version that has all of the traffic: nobody can take over, so how long is it away?"""
        self.note(f"kill -9 of all of {self.tag}, which has 100 %")
        begun = self.kill("the only version", self.version)
        time.sleep(0.5)
        with self.plane.client() as client:
            self.settled(client)
        self.note(f"{self.tag} is back")
        self.kills[-1] = Kill("the only version", begun, time.monotonic())

    def kill(self, what: str, version: str) -> float:
        """Kill every process of a version; give the moment before."""
        sessions, begun = list(self.sessions(version)), time.monotonic()
        while any(session.members() for session in sessions):
            for session in sessions:
                session.kill()
        self.kills.append(Kill(what, begun, time.monotonic()))
        return begun

    def sessions(self, version: str) -> Iterator[Session]:
        for path in (self.plane.state_dir / "hosts").glob(f"{version}*/host.json"):
            yield Session.from_dict(json.loads(path.read_text()))

    # ── help ──

    def config(self, tag: str, *, named: str | None = None) -> ServiceConfig:
        served = self.plane.engine == "ray"
        self.name = named or tag
        folder = write(self.folder / tag, tag, served=served, replicas=self.plan.replicas)
        return ServiceConfig(
            name="svc",
            version_name=self.name,
            working_dir=str(folder),
            applications=[{"import_path": "main:app"}],
        )

    def settled(self, client: Any, **goal: Any) -> Any:
        return client.wait("svc", timeout_s=200, poll_interval_s=POLL_S, **goal)

    def reached(self, client: Any, name: str, percent: int) -> None:
        self.settled(client, state="ROLLING_OUT", version=name, canary_weight=percent)

    def allow(self, *tags: str) -> None:
        self.history.allow(time.monotonic(), *tags)

    def note(self, what: str) -> None:
        self.moments.append((time.monotonic(), what))
        print(f"{what}", file=sys.stderr, flush=True)


def _replica(stat: Stat) -> bool:
    try:
        return b"ServeReplica" in Path(f"/proc/{stat.pid}/cmdline").read_bytes()
    except OSError:
        return False


def _parts(total: int, parts: int) -> list[range]:
    """Divide a number into so many that differ by one at most."""
    cuts = [total * number // parts for number in range(parts + 1)]
    return [range(low, high) for low, high in itertools.pairwise(cuts)]


def report(chaos: Chaos, verdict: Verdict) -> str:
    """Give the figures as a table in Markdown, and what was wrong after it."""
    lines = ["| requests | sent | half within | 99 % within | slowest |", "|---|---|---|---|---|"]
    lines += [f"| {k} | {n:,} | {a} ms | {b} ms | {c} ms |" for k, n, a, b, c in table(verdict)]
    lines += ["", "| | requests |", "|---|---|", f"| sent | {sum(verdict.sent.values()):,} |"]
    lines += [
        f"| dropped | {len(verdict.dropped)} |",
        f"| answered by a wrong version | {len(verdict.wrong)} |",
    ]
    lines += [f"| under way at a kill -9: {what} | {len(cut)} |" for what, cut in verdict.cut.items()]
    return "\n".join([*lines, "", *_faults(chaos, verdict)])


def _faults(chaos: Chaos, verdict: Verdict) -> Iterator[str]:
    for record in verdict.dropped[:20]:
        yield f"dropped: {_told(chaos, record)}"
    for record, why in verdict.wrong[:20]:
        yield f"wrong: {why}: {_told(chaos, record)}"
    for what, records in verdict.cut.items():
        kinds = {f"{r.kind} {r.status} {r.error[:60]}" for r in records}
        yield f"cut by {what}: {sorted(kinds)}"
    slowest = sorted((r for r in chaos.traffic.records() if r.kind != "stream"), key=lambda r: -r.took_ms)
    for record in slowest[:8]:
        yield f"slow: {_told(chaos, record)}"


def _told(chaos: Chaos, record: Any) -> str:
    before = [(when, what) for when, what in chaos.moments if when <= record.due]
    when, what = before[-1] if before else (record.due, "the start")
    said = record.error or f"{record.status} {record.tag[:80]}"
    return f"{record.kind} {said} after {record.took_ms:.0f} ms, {record.due - when:.2f} s after: {what}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=["ray", "process"], default="ray")
    parser.add_argument("--rollouts", type=int, default=Plan.rollouts)
    parser.add_argument("--weights", type=int, default=Plan.weights)
    parser.add_argument("--in-place", type=int, default=Plan.in_place)
    parser.add_argument("--rps", type=float, default=Plan.rps)
    parser.add_argument("--kills", default=",".join(Plan.kills))
    given = parser.parse_args()
    plan = Plan(given.rollouts, given.weights, given.in_place, given.rps, kills=tuple(given.kills.split(",")))
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        plane = RealPlane(Path(folder) / "state", given.engine, free_ports())
        plane.up()
        try:
            chaos = Chaos(plane, Path(folder), plan)
            verdict = chaos.run()
            print(report(chaos, verdict))
            print(f"{chaos.moments[-1][0] - chaos.moments[0][0]:.0f} s, load {os.getloadavg()[0]:.1f}")
        finally:
            plane.down()
    return 1 if verdict.dropped or verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
