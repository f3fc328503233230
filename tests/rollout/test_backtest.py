"""A plan's judge asked about the past, of a server that speaks as Prometheus does."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest

from anyservice_core.client import AsyncClient, Client
from anyservice_core.errors import ConfigError, RolledBackError
from anyservice_core.metrics import Probe, Prometheus, Python, Web
from anyservice_core.metrics.past import knows_the_past, names_in, requests_each
from anyservice_core.models import ServiceConfig
from anyservice_core.rollout import Event, Kind, Outcome
from anyservice_core.rollout.moment import parse_moment
from anyservice_core.rollout.page import page
from anyservice_core.rollout.replay import Backtest, Replaying
from anyservice_core.testing import EPOCH, FakePlane
from tests.rollout.store import Store, served

START, LENGTH = 1_700_000_000.0, 3_600.0
FAULT = START + 1_800


def counter(rps: float, rate: Callable[[float], float] = lambda _: 1.0) -> Callable[[float], float]:
    """A counter of so many a second, scaled by a rate that changes at ``FAULT`` alone."""

    def value(at: float) -> float:
        before, after = min(at, FAULT) - (START - 10_000), max(at - FAULT, 0.0)
        return rps * (before * rate(FAULT - 1) + after * rate(FAULT))

    return value


def sick(at: float) -> float:
    return 0.004 if at < FAULT else 0.08


def well(_: float) -> float:
    return 0.004


SERIES = {
    ("requests", "srv_old"): counter(9),
    ("errors", "srv_old"): counter(9, well),
    ("requests", "srv_bad"): counter(1),
    ("errors", "srv_bad"): counter(1, sick),
    ("requests", "srv_good"): counter(1),
    ("errors", "srv_good"): counter(1, well),
    ("memory", "srv_good"): lambda at: 0.5 + (at - START) / 100_000,
    ("memory", "srv_bad"): lambda at: 0.5 if at < FAULT else 0.98,
}


@pytest.fixture
def store() -> Iterator[Store]:
    with served(Store(SERIES)) as one:
        yield one


def errors(store: Store, label: str = "version.id", **fields: Any) -> dict[str, Any]:
    asked = '{version="{{ ' + label + ' }}"}[{{ window }}]))'
    options = {
        "address": store.address,
        "errors": f"sum(increase(errors{asked}",
        "requests": f"sum(increase(requests{asked}",
    }
    return {"name": "errors", "provider": {"prometheus": options}, "compare": {"dispersion": 1}, **fields}


def memory(store: Store, **fields: Any) -> dict[str, Any]:
    options = {"address": store.address, "query": 'max(memory{version="{{ canary.id }}"})'}
    return {"name": "memory", "provider": {"prometheus": options}, "success": {"max": 0.9}, **fields}


def plan(*metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"steps": [5, 50], "bake": "20m", "metrics": list(metrics), **fields}


def backtest(asked: dict[str, Any], canary: str = "srv_bad", **options: Any) -> Backtest:
    """With a client whose control plane is not there: nobody is to ask it."""
    told = options.pop("told", [])
    known = {"primary": "srv_old", "start": START, "end": START + LENGTH}
    with Client("http://127.0.0.1:9", "t", on_report=told.append) as client:
        return client.backtest(asked, canary=canary, **_dated({**known, **options}))


def _dated(options: dict[str, Any]) -> dict[str, Any]:
    """Numbers are durations to an interface for people, so moments go as dates."""
    for name in ("start", "end"):
        if isinstance(options[name], float):
            options[name] = datetime.fromtimestamp(options[name], UTC)
    return options


# ── what would have come of it ──────────────────────────────────────────────


def test_a_version_that_began_to_err_would_have_been_rolled_back(store: Store) -> None:
    """Minutes after it began, with the same sentence as a rollout; all of the interval is told all the same."""
    found = backtest(plan(errors(store)))
    assert found.report.outcome is Outcome.ROLLED_BACK
    assert found.decided_at is not None
    assert FAULT < found.decided_at < FAULT + 900
    assert "times the primary's rate" in found.report.reason
    (track,) = found.tracks
    assert track.passed_at is not None
    assert START < track.passed_at < FAULT
    assert track.failed_at == found.decided_at
    assert track.points[-1].at > START + LENGTH - 60
    assert [step.baked_s for step in found.report.steps] == [found.decided_at - START]
    assert str(found).startswith("would have been rolled back: errors: canary")


def test_a_good_version_would_have_been_promoted(store: Store) -> None:
    """By every metric that the past can answer."""
    found = backtest(plan(errors(store), memory(store)), "srv_good")
    assert found.report.outcome is Outcome.SUCCEEDED
    assert found.decided_at == START + LENGTH
    assert {track.metric: track.phase.value for track in found.tracks} == {
        "errors": "successful",
        "memory": "successful",
    }
    assert [finding.metric for finding in found.report.steps[0].findings] == ["errors", "memory"]


@pytest.mark.anyio
async def test_the_async_client_holds_the_same_conversation(store: Store) -> None:
    """One source, two colours, the same result to the last number."""
    async with AsyncClient("http://127.0.0.1:9", "t") as client:
        found = await client.backtest(
            plan(errors(store)),
            canary="srv_bad",
            primary="srv_old",
            **_dated({"start": START, "end": START + LENGTH}),
        )
    assert found == backtest(plan(errors(store)))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_the_steps_can_be_walked_through(store: Store) -> None:
    """Each for its bake, evidence anew at each, and no further than the rollout would have come."""
    found = backtest(plan(errors(store)), step_weights=True)
    assert found.report.outcome is Outcome.ROLLED_BACK
    assert [(step.weight, step.phase.value) for step in found.report.steps] == [
        (5, "successful"),
        (50, "failed"),
    ]
    assert found.report.steps[1].seen_at == pytest.approx(START + 1_200, abs=0.01)
    assert found.decided_at is not None
    assert FAULT < found.decided_at < FAULT + 300
    assert found.events[-1].at == found.decided_at
    assert found.tracks[0].points[-1].at == found.decided_at
    good = backtest(plan(errors(store)), "srv_good", step_weights=True)
    assert good.report.outcome is Outcome.SUCCEEDED
    assert good.decided_at == pytest.approx(START + 2_400, abs=0.01)
    assert [event.message for event in good.events if event.kind is Kind.SHIFTING] == ["would go on to 50 %"]


def test_a_number_that_leaves_its_range_is_found_at_its_next_measurement(store: Store) -> None:
    """Ranges are replayed like comparisons."""
    found = backtest(plan(memory(store)))
    assert found.report.outcome is Outcome.ROLLED_BACK
    assert found.decided_at is not None
    assert FAULT <= found.decided_at - 15 < FAULT + 60  # it looks 15 s back


def test_what_the_plan_makes_of_too_little_is_made_of_the_past_too(store: Store) -> None:
    """A version that nobody called pauses, or goes on where the plan says so."""
    paused = backtest(plan(errors(store)), "srv_unknown")
    assert (paused.report.outcome, paused.report.pause) == (Outcome.PAUSED, "inconclusive")
    assert paused.tracks[0].passed_at is None
    on = backtest(plan(errors(store), on_inconclusive="promote"), "srv_unknown")
    assert on.report.outcome is Outcome.SUCCEEDED


def test_an_interval_that_ends_before_the_plan_decides_nothing(store: Store) -> None:
    """A metric that is to be measured a hundred times takes longer."""
    found = backtest(plan(memory(store, count=100)), "srv_good")
    assert found.report.outcome is Outcome.PAUSED
    assert found.decided_at is None
    assert found.report.reason.startswith("the interval was over before the plan, at 50 %: memory:")
    assert found.to_dict()["decided_at"] is None


def test_a_metric_is_not_asked_more_often_than_the_plan_says(store: Store) -> None:
    """Five times are five times, and then the replay goes on without it."""
    backtest(plan(memory(store, count=5)), "srv_good")
    assert len(store.asked) == 5


def test_gates_hold_nothing_in_the_past(store: Store) -> None:
    """Nobody was asked, so nobody is waited for; that is told."""
    held = plan(
        errors(store),
        promotion=True,
        steps=[{"weight": 5, "bake": "10m", "approval": True}, {"weight": 50, "bake": "10m"}],
        windows=[{"kind": "allow", "schedule": "0 0 1 1 *", "duration": "1h"}],
    )
    found = backtest(held, "srv_good", step_weights=True)
    assert found.report.outcome is Outcome.SUCCEEDED
    assert [one.name for one in found.left_out] == ["service", "approvals", "windows"]


def test_only_metrics_that_a_step_names_judge_it(store: Store) -> None:
    """When steps are walked through; one step that lasts is judged by all. What is left out is named no more."""
    steps = [
        {"weight": 5, "bake": "10m", "analysis": ["errors", "seen by the router"]},
        {"weight": 50, "bake": "10m"},
    ]
    router = {"name": "seen by the router", "provider": "router"}
    asked = plan(errors(store), memory(store), router, steps=steps)
    found = backtest(asked, "srv_good", step_weights=True)
    judged = [[finding.metric for finding in step.findings] for step in found.report.steps]
    assert judged == [["errors"], ["errors", "memory"]]
    tracks = backtest({**asked, "steps": steps[:1]}, "srv_good").tracks
    assert {track.metric for track in tracks} == {"errors", "memory"}


# ── what it asks ────────────────────────────────────────────────────────────


def test_it_asks_of_the_interval_without_gaps_and_no_oftener_than_it_says(store: Store) -> None:
    """Windows follow one another within the interval, and the requests are those that were reckoned with."""
    told: list[Any] = []
    found = backtest(plan(errors(store), memory(store)), "srv_good", told=told)
    assert len(store.asked) == found.queries <= told[-1].most
    assert all(START <= at <= START + LENGTH for _, at in store.asked)
    ends = sorted({at for query, at in store.asked if "increase" in query})
    lengths = [
        int(query.split("[")[1].split("s]")[0])
        for query, at in store.asked
        if query.startswith("sum(increase(requests")
    ]
    assert all(after - before == lengths[-1] for before, after in pairwise(ends))
    assert set(lengths) == {60}


def test_any_json_over_http_can_be_asked_that_is_told_the_window(plane: FakePlane) -> None:
    """Its address names the moment, so it answers for then."""
    asked: list[tuple[int, int]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        start, end = int(request.url.params["from"]), int(request.url.params["to"])
        asked.append((start, end))
        return httpx.Response(200, json={"n": end - start, "bad": (end - start) // 10})

    plane.serve("http://json.test", answer)
    url = "http://json.test/{{ version.id }}?from={{ window.start }}&to={{ window.end }}"
    metric = {
        "name": "errors",
        "provider": {"web": {"url": url, "requests": "n", "errors": "bad"}},
        "compare": {},
    }
    found = replayed(plane, plan(metric), canary="srv_x", primary="srv_y")
    assert found.report.pause == "common-mode"  # one in ten of both: going back would not help
    assert len(asked) == found.queries == 20
    assert asked[::2] == [(int(START) + 60 * n, int(START) + 60 * (n + 1)) for n in range(10)]


def test_progress_is_told_now_and_then(store: Store) -> None:
    """In percent, with the requests so far and the most that there can be; not at every look."""
    told: list[Replaying] = []
    backtest(plan(errors(store, interval="10s")), told=told)
    assert 15 <= len(told) <= 21
    assert [one.percent for one in told] == sorted({one.percent for one in told})
    assert told[-1].percent == 100
    assert "100 % of the interval" in str(told[-1])


def test_what_would_take_too_many_requests_is_not_begun(store: Store) -> None:
    """The error says how many, and how to take fewer."""
    with pytest.raises(
        ConfigError, match="It may take 1444 requests to the metric stores, and 500 are allowed"
    ) as caught:
        backtest(plan(errors(store, interval="10s")), max_queries=500)
    assert "max_queries" in str(caught.value.hint)
    assert store.asked == []


def test_a_store_that_was_never_up_is_an_error_and_not_a_verdict() -> None:
    """Most likely the address is wrong; it is found after as many attempts as the plan allows."""
    with served(Store({})) as gone:
        pass
    with pytest.raises(ConfigError, match="errors: could not be measured 5 times in a row") as caught:
        backtest(plan(errors(gone)))
    assert "store is up" in str(caught.value.hint)


def test_a_query_that_is_wrong_says_what_the_store_said(store: Store) -> None:
    """In the store's own words."""
    wrong = memory(store)
    wrong["provider"]["prometheus"]["query"] = "max("
    with pytest.raises(ConfigError, match="parse error: max"):
        backtest(plan(wrong))


def test_a_store_that_goes_away_ends_the_replay_with_what_was_learnt(store: Store) -> None:
    """As a pause, since an outage says nothing about the canary; and it is not asked for ever."""
    store.down_from = START + 600
    found = backtest(plan(errors(store)), "srv_good")
    assert (found.report.outcome, found.report.pause) == (Outcome.PAUSED, "error")
    assert "could not be measured 5 times in a row" in found.report.reason
    assert found.decided_at is not None
    assert found.decided_at < START + 700


def test_after_its_verdict_an_outage_changes_nothing(store: Store) -> None:
    """What had been decided stays; the rest of the interval is not seen."""
    store.down_from = FAULT + 1_200
    found = backtest(plan(errors(store)))
    assert found.report.outcome is Outcome.ROLLED_BACK
    assert found.tracks[0].points[-1].phase.value in {"failed", "error"}


def test_failures_do_not_make_it_ask_for_ever(store: Store) -> None:
    """A store that fails now and then is asked again sooner, but never beyond what is allowed."""
    inner, calls = store.answer, [0]

    def flaky(query: str, at: float) -> tuple[int, Any]:
        calls[0] += 1
        return (503, {}) if calls[0] % 5 else inner(query, at)

    store.answer = flaky  # type: ignore[method-assign]
    found = backtest(plan(memory(store)), "srv_good", max_queries=100)
    assert calls[0] <= 100
    assert "the 100 requests to the metric stores that are allowed were used up" in found.report.reason


def test_the_replay_of_a_rollout_says_what_the_rollout_said(store: Store) -> None:
    """The same engine on the same numbers: the same metric, the same step, within a poll of the same moment."""
    with FakePlane() as plane:
        told: list[Event] = []
        client = plane.client(on_report=told.append)
        config = ServiceConfig(name="rec", applications=[{"import_path": "main:v1"}])
        client.rollout(config, {"steps": []})
        old = plane.service("rec").versions[0].id
        plane.serve(store.address, lambda request: _answered(store, old, request))
        asked = plan(errors(store))
        told.clear()
        with pytest.raises(RolledBackError) as caught:
            client.rollout(config.options(applications=[{"import_path": "main:v2"}]), asked)
        live = caught.value.report
        began = next(event.at for event in told if event.kind is Kind.BAKING)
        plane.now = live["ended_at"] + 60
        found = client.backtest(
            asked,
            canary=live["version"],
            primary=live["baseline_version"],
            **_dated({"start": float(began), "end": live["ended_at"] + 30.0}),
        )
    assert found.report.outcome is Outcome.ROLLED_BACK
    assert found.decided_at == pytest.approx(live["ended_at"], abs=10)
    assert found.report.reason.partition("%): ")[2:] == live["reason"].partition("%): ")[2:]


def _answered(store: Store, old: str, request: httpx.Request) -> httpx.Response:
    """As if the fault had begun five minutes after the plane did."""
    query = re.sub('version="(.*?)"', lambda said: _kind(said[1] == old), request.url.params["query"])
    status, content = store.answer(query, float(request.url.params["time"]) - EPOCH + FAULT - 300)
    return httpx.Response(status, json=content)


def _kind(is_old: bool) -> str:
    return 'version="srv_old"' if is_old else 'version="srv_bad"'


# ── when, and of which versions ─────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": "tomorrow"}, "start: 'tomorrow' is no time: write 2026-11-27T14:00"),
        ({"end": "2023-11-14T00:00"}, "is not before"),
        ({"start": "1h", "end": "2999-01-01"}, "end: 2999-01-01 is yet to come"),
        ({"canary": "srv_old"}, "are not two versions"),
        ({"canary": ""}, "are not two versions"),
        ({"asked": {"steps": []}}, "steps: the plan has none"),
        (
            {"asked": {"steps": [5], "metrics": [{"name": "e", "provider": "router"}]}},
            "none of the plan's can be asked",
        ),
        ({"step_weights": True, "end": START + 600}, "The steps bake 40m, and the interval is 10m long"),
    ],
)
def test_what_cannot_be_replayed_says_why(store: Store, options: dict[str, Any], said: str) -> None:
    """Before anything is asked."""
    asked = options.pop("asked", plan(errors(store)))
    with pytest.raises(ConfigError, match=said):
        backtest(asked, **options)
    assert store.asked == []


@pytest.fixture
def plane(store: Store) -> Iterator[FakePlane]:
    """A plane with a service whose versions are rolling, and the store beside it."""
    with FakePlane() as one, one.client() as client:
        config = ServiceConfig(name="rec", applications=[{"import_path": "main:v1"}], version_name="r-1")
        client.deploy(config)
        client.wait("rec")
        client.deploy(config.options(version_name="r-2"), canary_percent=10)
        client.wait("rec", canary_weight=10)
        one.serve(store.address, lambda request: _plain(store, request))
        one.requests.clear()
        yield one


def _plain(store: Store, request: httpx.Request) -> httpx.Response:
    status, content = store.answer(request.url.params["query"], float(request.url.params["time"]))
    return httpx.Response(status, json=content)


def replayed(plane: FakePlane, asked: dict[str, Any], **options: Any) -> Backtest:
    with plane.client() as client:
        return client.backtest(asked, **_dated({"start": START, "end": START + 600, **options}))


def test_names_come_from_the_service_if_it_has_them(plane: FakePlane, store: Store) -> None:
    """Whichever of the two is given, queries get the one that they ask for; the plane is only read."""
    old, new = plane.version_id("r-1"), plane.version_id("r-2")
    by_name = plan(errors(store, "version.name"))
    found = replayed(plane, by_name, canary=new, primary=old, service="rec")
    assert {query.split('"')[1] for query, _ in store.asked} == {"r-1", "r-2"}
    assert (found.report.service, found.report.version, found.report.version_name) == ("rec", new, "r-2")
    assert all(request.startswith("GET ") for request in plane.requests)
    store.asked.clear()
    replayed(plane, plan(errors(store)), canary="r-2", primary="r-1", service="rec")
    assert {query.split('"')[1] for query, _ in store.asked} == {old, new}


def test_names_may_be_given_where_the_service_has_forgotten_them(plane: FakePlane, store: Store) -> None:
    """Or simply be what the versions are called by, where no query asks for an id."""
    by_name = plan(errors(store, "version.name"))
    replayed(plane, by_name, canary="r-gone", primary="r-1")
    assert {query.split('"')[1] for query, _ in store.asked} == {"r-gone", "r-1"}
    assert plane.requests == []
    both = errors(store, "version.name")
    both["provider"]["prometheus"]["requests"] += ' or x{v="{{ version.id }}"}'
    with pytest.raises(
        ConfigError, match="canary_name: the queries ask for names of versions, and that of srv_x"
    ):
        replayed(plane, plan(both), canary="srv_x", primary="srv_y", primary_name="r-1")
    store.asked.clear()
    named = {"canary_name": "r-7", "primary_name": "r-1"}
    with pytest.raises(ConfigError, match="parse error"):
        replayed(plane, plan(both), canary="srv_x", primary="srv_y", **named)
    assert 'v="srv_x"' in store.asked[0][0]
    assert '"r-7"' in store.asked[0][0]


def test_a_query_that_names_the_service_needs_one(plane: FakePlane, store: Store) -> None:
    """It would ask for nothing, and nothing would be found."""
    asked = memory(store)
    asked["provider"]["prometheus"]["query"] = 'max(memory{version="{{ service.name }}"})'
    with pytest.raises(ConfigError, match="service: the queries name it"):
        replayed(plane, plan(asked), canary="srv_x", primary="srv_y")
    replayed(plane, plan(asked), canary="srv_x", primary="srv_y", service="rec")
    assert 'version="rec"' in store.asked[0][0]


# ── what comes back ─────────────────────────────────────────────────────────


def test_the_result_is_plain_values_and_a_page(store: Store) -> None:
    """Fit for JSON and for a browser; both say that nothing was done."""
    found = backtest(plan(errors(store), {"name": "seen", "provider": "router"}))
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["outcome"] == "rolled_back"
    assert (plain["service"], plain["canary"], plain["primary"]) == (None, "srv_bad", "srv_old")
    assert plain["metrics"][0]["failed_at"] == plain["decided_at"]
    assert plain["metrics"][0]["points"][-1]["numbers"]["canary_requests"] > 3_000
    assert {"name": "seen", "why": "the router's counters are sums up to now"} in plain["left_out"]
    text = page(found.report, found.events, note=found.note)
    assert "would have been rolled back" in text
    assert "nothing was done to the service" in text
    assert "The whole interval was taken as one step, at 50 %" in text
    walked = backtest(plan(errors(store)), step_weights=True)
    assert "weights were walked through" in walked.note


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", 1_000_000.0),
        ("1h", 996_400.0),
        (90, 999_910.0),
        ("1970-01-02", 86_400.0),
        ("1970-01-02T01:00+01:00", 86_400.0),
        ("1970-01-02T00:00:00Z", 86_400.0),
        (datetime(1970, 1, 2), 86_400.0),
        (datetime(1970, 1, 2, tzinfo=UTC), 86_400.0),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago_it_was(text: object, seconds: float) -> None:
    """UTC unless it says otherwise; whole seconds, as stores have them."""
    assert parse_moment(text, 1_000_000.4) == seconds


@pytest.mark.parametrize("text", ["yesterday", "", "27.11.2026", "-1h", "2026-13-01", None])
def test_what_is_no_moment_says_how_to_write_one(text: object) -> None:
    """A time, or a while."""
    with pytest.raises(ValueError, match="is no time"):
        parse_moment(text, 0.0)


def test_who_knows_the_past_and_who_does_not() -> None:
    """A store does, and so does an address that is told the window; the service itself does not."""
    url = "http://h/?at={{ window.end }}&v={{ version.id }}"
    ends = Web(url=url, errors="e", requests="r")
    assert knows_the_past(ends) is None
    assert knows_the_past(Prometheus(address="http://p", query="m")) is None
    now = Web(url="http://h/?v={{ version.id }}&w={{ window }}", value="v")
    assert "{{ window.end }}" in str(knows_the_past(now))
    for provider in (Probe(path="/"), "router", "service", Python(call=str)):
        assert knows_the_past(provider)
    assert {"version.id", "window.end"} <= names_in(ends)
    assert "version.name" not in names_in(ends)
    assert names_in("router") == set()
    assert names_in(Python(call=str)) == set()
    assert [requests_each(ends, compare=True), requests_each(now, compare=False)] == [2, 1]
