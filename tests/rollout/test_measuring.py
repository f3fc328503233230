"""Which metrics are asked when, and about which window."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anyservice_core.effects import Op, Reply, Request, Together
from anyservice_core.errors import TransportError
from anyservice_core.metrics import Target
from anyservice_core.models.enums import ServiceState, ServiceVersionState
from anyservice_core.operations.measuring import measure
from anyservice_core.rollout import Journal, RolloutPlan
from anyservice_core.rollout.observe import Observation, Seen
from anyservice_core.rollout.tally import Tally
from tests.metrics import checks

PROMETHEUS = {
    "address": "http://prometheus:9090",
    "errors": 'bad{v="{{ version.id }}"}[{{ window }}]',
    "requests": 'all{v="{{ version.id }}"}[{{ window }}]',
}
COUNTS = {"name": "errors", "provider": {"prometheus": PROMETHEUS}, "compare": {}}
GAUGE = {
    "name": "gauge",
    "provider": {"prometheus": {"address": "http://prometheus:9090", "query": "mem"}},
    "success": {"max": 1},
}
SEEN_AT = 1_000.4


def seen(at: float, **fields: Any) -> Observation:
    state = ServiceVersionState.RUNNING
    return Observation(
        at=at,
        state=ServiceState.ROLLING_OUT,
        service_id="service2_1",
        service="recommender",
        primary=Seen("srv_old", "r-1", state, 90, ours=False),
        canary=Seen("srv_new", "r-2", state, 10, ours=True),
        query_url="http://127.0.0.1:8700/",
        query_auth_token="t0k3n",
        **fields,
    )


class Run:
    """One step of a rollout, at which time passes by hand; every source says 1 unless it is down."""

    def __init__(self, *metrics: dict[str, Any]) -> None:
        self.plan = RolloutPlan.parse({"steps": [10], "bake": "10m", "metrics": list(metrics)})
        self.journal = Journal(rollout_key="k", version_name="r-2", weight=10, settled=True, seen_at=SEEN_AT)
        self.down = False
        self.replies = 0

    def look(self, at: float, **fields: Any) -> tuple[list[Request], tuple[str, ...]]:
        asked: list[Request] = []
        self.journal, told = self._hold(measure(self.plan, self.journal, seen(at, **fields)), asked)
        return asked, told

    def _hold(self, op: Op[Any], asked: list[Request]) -> Any:
        try:
            effect: Any = next(op)
            while True:
                if isinstance(effect, Together):
                    effect = op.send([self._hold(inner, asked) for inner in effect.ops])
                    continue
                if not isinstance(effect, Request):
                    effect = op.send(effect.function(*effect.args))
                    continue
                asked.append(effect)
                effect = op.throw(TransportError("down")) if self.down else op.send(self._reply())
        except StopIteration as stop:
            return stop.value

    def _reply(self) -> Reply:
        self.replies += 1
        data = {"resultType": "vector", "result": [{"value": [0, "1"]}]}
        versions = [
            {"version_id": id, "requests": 100 * self.replies, "errors": 0} for id in ("srv_new", "srv_old")
        ]
        answer = {
            "status": "success",
            "data": data,
            "result": {"versions": versions},
        }  # Prometheus, and the router
        return Reply(200, json.dumps(answer).encode())

    def windows(self, at: float) -> set[tuple[float, str]]:
        """Where the windows end that were asked for, and how long they are."""
        asked, _ = self.look(at)
        return {(float(r.params["time"]), r.params["query"].partition("[")[2][:-1]) for r in asked}


def test_windows_tile_the_step_and_nothing_before_it() -> None:
    """The first begins with the step; each begins where the last ended; all end a scrape ago."""
    run = Run(COUNTS)
    assert run.look(1_075) == ([], ())
    assert run.windows(1_076) == {(1_061, "60s")}
    assert run.look(1_135) == ([], ())
    assert run.windows(1_136.7) == {(1_121, "60s")}
    assert run.windows(1_197.9) == {(1_182, "61s")}


def test_what_says_nothing_while_caches_are_cold_is_not_counted() -> None:
    """The first window begins after the delay."""
    run = Run({**COUNTS, "initial_delay": "30s"})
    assert run.look(1_105) == ([], ())
    assert run.windows(1_106) == {(1_091, "60s")}


def test_an_outage_loses_no_window_but_the_longest() -> None:
    """It is tried again sooner, and asks for all that was missed; ten intervals at the most."""
    run = Run(COUNTS)
    run.look(1_076)
    run.down = True
    assert run.look(1_136)[1] == ("errors",)
    assert len(run.look(1_146)[0]) == 1
    run.down = False
    assert run.windows(1_156) == {(1_141, "80s")}
    assert run.windows(5_000) == {(4_985, "600s")}


def test_a_number_of_the_moment_waits_for_a_scrape_only() -> None:
    """It has no window that would have to lie within the step."""
    run = Run(GAUGE)
    assert run.look(1_015) == ([], ())
    (request,), told = run.look(1_016)
    assert (request.params["time"], told) == ("1001.000", ("gauge",))


def test_one_that_is_down_does_not_hold_up_the_others() -> None:
    """Sources are asked side by side."""
    other = {**GAUGE, "name": "other"}
    op = measure(Run(GAUGE, other).plan, Run().journal, seen(1_100))
    effect = next(op)
    assert isinstance(effect, Together)
    assert len(effect.ops) == 2


def test_where_counting_begins_is_nothing_to_tell() -> None:
    """The first reading of counters that only grow says how much there was before."""
    run = Run({"name": "errors", "provider": "router"})
    assert run.look(1_001)[1] == ()
    assert run.look(1_011)[1] == ("errors",)
    assert run.look(1_012) == ([], ())
    run.journal = run.journal.replace(baked_s=600.0)
    assert run.look(1_013)[1] == ("errors",)


def test_a_function_learns_what_it_is_about() -> None:
    """Both versions, the weight, where to ask, and the window."""
    checks.seen.clear()
    run = Run({"name": "smoke", "provider": {"python": "tests.metrics.checks:smoke"}})
    assert run.look(1_001) == ([], ("smoke",))
    assert checks.seen == [
        Target(
            service_id="service2_1",
            canary_id="srv_new",
            canary_name="r-2",
            primary_id="srv_old",
            primary_name="r-1",
            window_s=1.0,
            at=1_001,
            service="recommender",
            weight=10,
            query_url="http://127.0.0.1:8700/",
            query_auth_token="t0k3n",
        )
    ]
    assert checks.seen[0].headers("primary")["x-anyservice-version"] == "srv_old"


def test_a_version_that_went_away_cannot_be_measured() -> None:
    """The rules about what is not there come next; no source is asked."""
    run = Run(GAUGE)
    op = measure(run.plan, run.journal, Observation(at=1_100, state=ServiceState.RUNNING))
    with pytest.raises(StopIteration) as stop:
        next(op)
    assert "no two versions" in stop.value.value[0].tallies["gauge"].trouble


def test_while_the_weight_is_on_the_move_only_health_is_read() -> None:
    """And at a weight that was never seen, likewise."""
    for journal in (Run(GAUGE).journal.replace(settled=False), Run(GAUGE).journal.replace(seen_at=None)):
        run = Run(GAUGE)
        run.journal = journal
        assert run.look(2_000) == ([], ())
    assert run.journal.tallies["service"].successful == 1


def test_health_counts_once_an_interval_and_at_once_when_it_changes() -> None:
    """Unhealthy for a moment is one failure, not one a look."""
    run, tally = Run(), Tally()
    for at, state, failed in [
        (1_001, "RUNNING", 0),
        (1_002, "UNHEALTHY", 1),
        (1_003, "UNHEALTHY", 1),
        (1_012, "UNHEALTHY", 2),
        (1_013, "STARTING", 2),
        (1_023, "RUNNING", 0),
    ]:
        canary = Seen("srv_new", "r-2", ServiceVersionState(state), 10, ours=True)
        look = Observation(at=at, state=ServiceState.ROLLING_OUT, primary=None, canary=canary)
        with pytest.raises(StopIteration) as stop:
            next(measure(run.plan, run.journal, look))
        run.journal = stop.value.value[0]
        tally = run.journal.tallies["service"]
        assert tally.failed_in_row == failed
    assert (tally.successful, tally.failed) == (2, 2)
