"""What a look costs once its answer has come: ``decide()``, ``judge()``, and all that lies between two requests.

Beside them, in turn, what cannot be done without: reading the answer that they think about, from JSON to a status.
Microseconds are of processor time, and of one machine; the ratios are of any.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from anyservice_core import Client, ServiceConfig
from anyservice_core.effects import Effect, Op, Reply, Request, Save, Sleep
from anyservice_core.models.mapping import status_from_wire
from anyservice_core.models.wire import ServiceWire
from anyservice_core.operations.lookup import SERVICES
from anyservice_core.operations.rollout import rollout
from anyservice_core.operations.sending import decode
from anyservice_core.rollout import Journal, RolloutPlan
from anyservice_core.rollout.decide import decide
from anyservice_core.rollout.evidence import Window
from anyservice_core.rollout.judge import judge
from anyservice_core.rollout.observe import observe
from anyservice_core.rollout.tally import Tally
from anyservice_core.testing import FakePlane

ROUNDS, CALLS = 31, 40
LOOKS = 200
WINDOWS = (1, 12, 60, 240)  # a tally keeps no more than 240
PLAN = RolloutPlan.parse(
    {"steps": [5, 25, 50], "bake": "1h", "metrics": [{"name": "errors", "provider": "router"}]}
)
NEW = ServiceConfig(name="svc", applications=[{"import_path": "main:v2"}])


def once(effect: Effect) -> Op[Any]:
    """A conversation of one effect."""
    return (yield effect)


class Watched:
    """A rollout held by hand for some looks, in the middle of its first bake; nothing but its own work is timed."""

    def __init__(self, plane: FakePlane, looks: int) -> None:
        self.looks: list[float] = []
        with plane.client() as client:
            self.hold(client, looks)
            service = f"{SERVICES}{client.status(NEW.name).id}"
            self.body = client.run(once(Request("GET", service))).body

    def hold(self, client: Client, looks: int) -> None:
        op, answer, spent = rollout(NEW, PLAN), None, 0.0
        while len(self.looks) < looks:
            start = time.process_time()
            effect = op.send(answer)
            spent += time.process_time() - start
            answer = client.run(once(effect))
            if isinstance(effect, Save):
                self.journal: Journal = effect.value
            elif isinstance(effect, Sleep):
                self.looks.append(spent)
                spent = 0.0
        op.close()


def a_bake(plane: FakePlane) -> Watched:
    """A canary that is looked at every 2 seconds, with requests to both versions counted every 10."""
    with plane.client() as client:
        client.deploy(NEW.options(applications=[{"import_path": "main:v1"}]))
        client.wait(NEW.name)
    plane.send_traffic(20)
    return Watched(plane, LOOKS)


def measured(journal: Journal, windows: int) -> Journal:
    """The same moment with so many windows of one error in two hundred on either side."""
    random = Random(1)
    rows = tuple(
        Window(120, sum(random.random() < 0.005 for _ in range(120)), 1080, random.randrange(3, 9))
        for _ in range(windows)
    )
    return journal.replace(tallies={**journal.tallies, "errors": Tally(windows=rows, measured=windows)})


def things(watched: Watched) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is timed, the yardstick first."""
    journal, request, reply = watched.journal, Request("GET", "/"), Reply(200, watched.body)

    def read() -> Any:
        return status_from_wire(decode(request, reply, ServiceWire))

    status = read()
    seen = observe(status, journal.version_name, journal.looked_at or 0.0)
    verdict = judge(PLAN, measured(journal, 60))
    print(f"an answer of {len(watched.body):,} bytes; {decide(PLAN, seen, journal, verdict)}")
    yield "reading the answer", read
    yield "observe()", lambda: observe(status, journal.version_name, 0.0)
    yield "Journal.look()", lambda: journal.look(PLAN, seen)
    yield "decide()", lambda: decide(PLAN, seen, journal, verdict)
    for windows in WINDOWS:
        held = measured(journal, windows)
        yield f"judge(), {windows} windows", lambda held=held: judge(PLAN, held)


def microseconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - start) / CALLS * 1e6


def main() -> None:
    with FakePlane() as plane:
        watched = a_bake(plane)
    calls = dict(things(watched))
    rounds = [{name: microseconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    yardstick = next(iter(calls))
    for name in calls:
        median = statistics.median(times[name] for times in rounds)
        ratio = statistics.median(times[name] / times[yardstick] for times in rounds)
        print(f"{name:24}{median:9.1f} µs   {ratio:6.2f} times the reading (median of {ROUNDS})")
    late = watched.looks[LOOKS // 2 :]
    print(
        f"a whole look but for the requests: median {statistics.median(late) * 1e6:.0f} µs, "
        f"slowest of {len(late)} {max(late) * 1e6:.0f} µs"
    )


if __name__ == "__main__":
    main()
