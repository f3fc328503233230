"""What a service tells of itself: its checklist, its events and its versions."""

from __future__ import annotations

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.daemon import PlaneSettings
from anyservice_core.plane.reconcile import Options
from anyservice_core.plane.router import SlotCounters
from anyservice_core.testing import FakePlane
from tests.plane.api import apply, served


@pytest.fixture
def plane():
    with FakePlane(options=Options(rollout_limit_s=600)) as plane:
        yield plane


@pytest.fixture
def service(http, plane) -> str:
    """The path of a service whose v1 serves."""
    found = apply(http, version="v1").json()["result"]["id"]
    plane.advance(10)
    return f"/api/v2/services-v2/{found}"


def items(http, service):
    checklist = http.get(service).json()["result"]["service_status_checklist"]
    found = [*checklist["shared"], *(item for v in checklist["per_version"] for item in v["items"])]
    return {(item["kind"], item["version_id"] and item["label"]): item for item in found}


def events(http, service, **params):
    return http.get(f"{service}/events", params=params).json()


def test_a_service_that_starts_says_what_is_not_there_yet(http, plane):
    """Before its host answers neither router nor host nor application is called RUNNING."""
    path = f"/api/v2/services-v2/{apply(http).json()['result']['id']}"
    assert {item["state"] for item in items(http, path).values()} == {"STARTING"}
    plane.advance(1)
    states = {kind: item["state"] for (kind, _), item in items(http, path).items()}
    assert states == {"LOAD_BALANCER": "RUNNING", "CLUSTER": "STARTING", "APPLICATION": "STARTING"}


def test_each_item_has_its_own_state_and_since_when(http, plane, service):
    """A host that runs an ill application is RUNNING itself, and the application's item says what it says."""
    before = items(http, service)
    assert {item["state"] for item in before.values()} == {"RUNNING"}
    assert all(item["observed_at"] for item in before.values())
    plane.advance(100)
    assert items(http, service) == before
    plane.sicken("v1", "health check failed")
    plane.advance(1)
    now = items(http, service)
    application = now["APPLICATION", "Applications"]
    assert (application["state"], application["message"]) == ("UNHEALTHY", "health check failed")
    assert application["observed_at"] > before["APPLICATION", "Applications"]["observed_at"]
    assert now["CLUSTER", "Host"]["state"] == "RUNNING"


def test_a_router_that_does_not_obey_is_told(http, plane, service):
    """The load balancer's item has the router's own words, and the events when they came and went."""

    def refuse(_) -> None:
        raise PlaneError("the router (HAProxy) does not answer")

    working, plane.router.apply = plane.router.apply, refuse
    plane.advance(1)
    router = items(http, service)["LOAD_BALANCER", None]
    assert (router["state"], router["message"]) == ("UNHEALTHY", "the router (HAProxy) does not answer")
    plane.router.apply = working
    plane.advance(1)
    assert items(http, service)["LOAD_BALANCER", None]["state"] == "RUNNING"
    told = [
        event["message"] for event in events(http, service, origin="ALB", ascending_order=True)["results"]
    ]
    assert told == [
        "the router does not obey: the router (HAProxy) does not answer",
        "the router obeys again",
    ]


def test_a_rollout_is_an_item_of_its_own(http, plane, service):
    """Who moves the weight and where it is stands in the checklist for as long as there is a rollout."""
    apply(http, version="v2", canary_percent=10, ray_serve_config=served("main:two"))
    plane.advance(10)
    assert items(http, service)["SERVICE", None]["message"] == "held at 10 %"
    plane.advance(700)
    assert ("SERVICE", None) not in items(http, service)


def test_a_rollout_that_took_too_long_is_told_by_service_and_events(http, plane, service):
    """After the limit the service runs its old version, and says why in its message and its record."""
    apply(http, version="v2", canary_percent=10, ray_serve_config=served("main:two"))
    plane.advance(700)
    shown = http.get(service).json()["result"]
    assert (shown["current_state"], shown["canary_version"]) == ("RUNNING", None)
    assert "longer than 10 min" in shown["error_message"]
    (told,) = events(http, service, message="longer than")["results"]
    assert told["message"].startswith("ROLLING_OUT -> ROLLING_BACK: Version 'v2'")
    assert told["level"] == "WARNING"
    every = {event["message"]: event["level"] for event in events(http, service)["results"]}
    assert every["ROLLING_BACK -> RUNNING"] == "INFO"
    assert "v2 TERMINATED" in every


def test_what_is_wrong_is_loud(http, plane, service):
    """An application that falls ill is an error in the record, with its own words; its healing is none."""
    plane.sicken("v1", "health check failed")
    plane.advance(1)
    plane.heal("v1")
    plane.advance(1)
    loud = [
        event["message"] for event in events(http, service, level="error", ascending_order=True)["results"]
    ]
    assert loud == ["RUNNING -> UNHEALTHY", "v1 UNHEALTHY: health check failed"]


def test_a_surge_is_told_step_by_step(http, plane, service):
    """Checklist, versions and events say how much of either version runs, and what it is on its way to."""
    asked = {"canary_percent": 40, "max_surge_percent": 25}
    apply(http, version="v2", ray_serve_config=served("main:two"), **asked)
    plane.advance(6)
    plane.advance(1)
    assert items(http, service)["SERVICE", None]["message"] == (
        "held at 40 %; max_surge_percent 25: v1 at 75 % with 75 to 100 % of its capacity, on its way to 75 %,"
        " v2 at 25 % with 25 % of its capacity"
    )
    shown = http.get(service).json()["result"]
    assert [version["global_target_capacity"] for version in shown["versions"]] == [75, 25]
    plane.advance(10)
    assert items(http, service)["SERVICE", None]["message"] == (
        "held at 40 %; max_surge_percent 25: v1 at 60 % with 60 % of its capacity,"
        " v2 at 40 % with 40 % of its capacity"
    )
    told = events(http, service, message="capacity", ascending_order=True)["results"]
    assert [event["message"] for event in told] == [
        "v2 has 25 % of its capacity",
        "v1 shall have 75 % of its capacity",
        "v1 has 75 % of its capacity",
        "v2 shall have 40 % of its capacity",
        "v2 has 40 % of its capacity",
        "v1 shall have 60 % of its capacity",
        "v1 has 60 % of its capacity",
    ]
    assert {event["origin"] for event in told} == {"SERVICE_VERSION"}
    assert http.post(f"{service}/rollback", json={"max_surge_percent": 5}).status_code == 200
    assert items(http, service)["SERVICE", None]["message"] == (
        "going back in steps; max_surge_percent 5, taken as 10: v1 at 60 % with 60 % of its capacity,"
        " v2 at 40 % with 40 % of its capacity"
    )
    plane.advance(60)
    shown = http.get(service).json()["result"]
    assert (shown["current_state"], shown["primary_version"]["global_target_capacity"]) == ("RUNNING", None)
    assert events(http, service, message="v1 has 100 % of its capacity")["results"]


@pytest.mark.parametrize("asked", [{}, {"max_surge_percent": 100}])
def test_room_for_two_versions_is_no_news(http, plane, service, asked):
    """Where both run with all that they ask for, nothing of capacity is told."""
    apply(http, version="v2", canary_percent=10, ray_serve_config=served("main:two"), **asked)
    plane.advance(10)
    assert items(http, service)["SERVICE", None]["message"] == "held at 10 %"
    assert events(http, service, message="capacity")["results"] == []
    versions = http.get(service).json()["result"]["versions"]
    assert [version["global_target_capacity"] for version in versions] == [None, None]


def test_a_surge_beyond_all_is_refused(http, plane, service):
    """A rollback's percentage has the range of a deploy's."""
    answer = http.post(f"{service}/rollback", json={"max_surge_percent": 101})
    assert (answer.status_code, "max_surge_percent" in answer.json()["error"]["message"]) == (422, True)


def test_events_come_newest_first_and_in_pages(http, plane, service):
    """Pages join up without a gap; each event has what official clients refuse to miss."""
    whole = events(http, service)["results"]
    assert whole[-1]["message"] == "deploy v1"
    assert all(event["id"] and event["created_at"] and event["origin"] for event in whole)
    pages, token = [], None
    while True:
        page = events(http, service, count=2, **({"paging_token": token} if token else {}))
        pages += page["results"]
        token = page["metadata"]["next_paging_token"]
        if token is None:
            break
    assert pages == whole


def test_events_are_chosen_by_origins_levels_text_and_time(http, plane, service):
    """Several origins or levels are any of them; text is taken as it is written; the ends of a span are not in it."""
    apply(http, version="v2", canary_percent=10, ray_serve_config=served("main:two"))
    plane.advance(10)
    whole = events(http, service, count=1000)["results"]
    assert {event["origin"] for event in whole} == {"SERVICE", "SERVICE_VERSION"}
    assert events(http, service, count=1000, origin=["SERVICE", "SERVICE_VERSION"])["results"] == whole
    one = events(http, service, count=1000, origin=["SERVICE", "ALB"])["results"]
    assert one == [event for event in whole if event["origin"] == "SERVICE"]
    assert events(http, service, count=1000, level=["info", "error"])["results"] == whole
    assert events(http, service, message="Deploy")["results"] == []
    times = sorted({event["created_at"] for event in whole})
    within = events(http, service, count=1000, start_time=times[0], end_time=times[-1])["results"]
    assert {event["created_at"] for event in within} == set(times[1:-1])


@pytest.mark.parametrize("params", [{"count": 0}, {"count": 1001}, {"paging_token": "x"}, {"count": "²"}])
def test_pages_that_were_never_given_out_are_refused(http, service, params):
    """A count or token that is none is a 422 that names it."""
    answer = http.get(f"{service}/events", params=params)
    assert (answer.status_code, next(iter(params)) in answer.json()["error"]["message"]) == (422, True)


def test_versions_are_listed_and_found_by_name(http, plane, service):
    """Both versions of a rollout are there with their weights; an unknown one is a 404."""
    apply(http, version="v2", canary_percent=10, ray_serve_config=served("main:two"))
    plane.advance(10)
    listed = http.get(f"{service}/versions").json()["results"]
    assert {v["version"]: v["weight"] for v in listed} == {"v1": 90, "v2": 10}
    assert http.get(f"{service}/versions/v2").json()["result"]["weight"] == 10
    assert http.get(f"{service}/versions/v3").status_code == 404


@pytest.mark.parametrize("ladder", [(), (50,), (100, 50), (0, 100), (10, 10, 100), (50, 150)])
def test_a_ladder_rises_to_100(tmp_path, ladder):
    """A ladder that does not end with all of the traffic, or falls, is refused before anything starts."""
    with pytest.raises(PlaneError, match="ladder"):
        PlaneSettings(state_dir=tmp_path, ladder=ladder)


def test_how_long_answers_took_is_a_histogram(http, plane, service):
    """Prometheus reads buckets in seconds, their count and their sum, added up over readings."""
    took = {"le_5": 1, "le_10000": 3, "count": 3, "sum_ms": 90}
    version = plane.version_id("v1")
    seats = {(service.rpartition("/")[2], "a"): version}
    for times in (1, 2):
        counts = {key: n * times for key, n in took.items()}
        reading = SlotCounters(service.rpartition("/")[2], "a", "life", 0, {"2xx": 3 * times}, counts)
        plane._loop._ledger.enter([reading], seats)
    lines = http.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("anyservice_latency_seconds")]
    label = f'service="svc",project="default",version="v1",version_id="{version}"'
    assert found == [
        f'anyservice_latency_seconds_bucket{{{label},le="0.005"}} 2',
        f'anyservice_latency_seconds_bucket{{{label},le="10"}} 6',
        f'anyservice_latency_seconds_bucket{{{label},le="+Inf"}} 6',
        f"anyservice_latency_seconds_count{{{label}}} 6",
        f"anyservice_latency_seconds_sum{{{label}}} 0.18",
    ]
    (shown,) = http.get(f"/plane/v1/services/{service.rpartition('/')[2]}/traffic").json()["result"][
        "versions"
    ]
    assert (shown["requests"], shown["responses"], shown["took"]["sum_ms"]) == (6, {"2xx": 6}, 180)
