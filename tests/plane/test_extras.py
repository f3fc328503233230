"""Beside the eight operations: several versions at once, weights, restart, tags and a second token."""

from __future__ import annotations

import pytest

from anyservice_core.plane.reconcile import Options
from anyservice_core.testing import FakePlane
from tests.plane.api import apply, body, served

SERVICES = "/api/v2/services-v2"


@pytest.fixture
def plane():
    with FakePlane(options=Options(rollout_limit_s=600)) as plane:
        yield plane


@pytest.fixture
def service(http, plane) -> str:
    """The id of a service whose v1 serves."""
    found = apply(http, version="v1", ray_serve_config=served("main:v1")).json()["result"]["id"]
    plane.advance(10)
    return found


def split(http, **shares):
    """Ask for these versions at these percents, as official clients do."""
    how = "MULTI_VERSION"
    versions = [
        {
            **body(version=name, ray_serve_config=served(f"main:{name}")),
            "rollout_strategy": how,
            "traffic_percent": percent,
        }
        for name, percent in shares.items()
    ]
    asked = {"rollout_strategy": how, "service_versions": versions}
    return http.put(f"{SERVICES}/apply_multi_version", json=asked)


def weights(http, service):
    shown = http.get(f"{SERVICES}/{service}").json()["result"]
    return {v["version"]: v["weight"] for v in shown["versions"]}


# ── several versions ────────────────────────────────────────────────────────


def test_a_new_service_of_two_versions(http, plane):
    """Both come up under one id with the traffic that was asked for, and stay so beyond any rollout's limit."""
    found = split(http, v1=30, v2=70).json()["result"]["id"]
    plane.advance(2000)
    assert weights(http, found) == {"v2": 70, "v1": 30}


def test_a_service_gets_a_second_version_and_loses_the_first(http, plane, service):
    """A new version beside the one that serves, its weight moved, then all of the traffic: it is the primary."""
    assert split(http, v1=90, v2=10).json()["result"]["id"] == service
    plane.advance(10)
    second = http.get(f"{SERVICES}/{service}").json()["result"]["canary_version"]["id"]
    assert weights(http, service) == {"v1": 90, "v2": 10}
    split(http, v1=40, v2=60)
    plane.advance(10)
    assert weights(http, service) == {"v1": 40, "v2": 60}
    split(http, v2=100, v1=0)
    plane.advance(60)
    shown = http.get(f"{SERVICES}/{service}").json()["result"]
    assert (shown["current_state"], shown["primary_version"]["id"]) == ("RUNNING", second)


def test_all_traffic_for_the_first_ends_the_second(http, plane, service):
    """A version at 0 ends; the one that serves is left as it is."""
    before = http.get(f"{SERVICES}/{service}").json()["result"]["primary_version"]["id"]
    split(http, v1=90, v2=10)
    plane.advance(10)
    split(http, v1=100, v2=0)
    plane.advance(60)
    shown = http.get(f"{SERVICES}/{service}").json()["result"]
    assert (shown["primary_version"]["id"], weights(http, service)) == (before, {"v1": 100})


def test_a_service_that_ended_is_split_anew(http, plane, service):
    """Restarted under its id with two versions."""
    http.post(f"{SERVICES}/{service}/terminate")
    plane.advance(60)
    assert split(http, v3=50, v4=50).json()["result"]["id"] == service
    plane.advance(30)
    assert weights(http, service) == {"v3": 50, "v4": 50}


@pytest.mark.parametrize(
    ("shares", "refusal"),
    [
        ({"v2": 60, "v1": 30}, (422, "90")),
        ({"v1": 40, "v2": 30, "v3": 30}, (422, "two at once")),
        ({"v2": 50, "v3": 50}, (409, "'v1'")),
        ({"v1": 101}, (422, "traffic_percent")),
        ({}, (422, "service_versions")),
    ],
)
def test_splits_that_cannot_be_are_refused(http, plane, service, shares, refusal):
    """Each says why, and nothing is changed."""
    before = plane.store.services()
    answer = split(http, **shares)
    error = answer.json()["error"]
    assert answer.status_code == refusal[0]
    assert refusal[1] in (error.get("message") or error["detail"])
    assert plane.store.services() == before


def test_a_split_that_fails_halfway_changes_nothing(http, plane, service):
    """The name of the one that serves with other content is a conflict, and the other is not started."""
    before = plane.store.services()
    versions = [
        {**body(version="v1", ray_serve_config=served("main:other")), "traffic_percent": 50},
        {**body(version="v2"), "traffic_percent": 50},
    ]
    answer = http.put(f"{SERVICES}/apply_multi_version", json={"service_versions": versions})
    assert (answer.status_code, plane.store.services()) == (409, before)


def test_a_split_says_that_it_is_one(http, plane, service):
    """Official clients then move its weights as such, so that it stays one; a canary is none."""
    apply(http, version="v2", canary_percent=10, ray_serve_config=served("main:v2"))
    plane.advance(10)
    shown = http.get(f"{SERVICES}/{service}").json()["result"]
    assert (shown["is_multi_version"], len(shown["versions"])) == (False, 2)
    split(http, v1=70, v2=30)
    plane.advance(10)
    shown = http.get(f"{SERVICES}/{service}").json()["result"]
    assert (shown["is_multi_version"], weights(http, service)) == (True, {"v1": 70, "v2": 30})
    split(http, v1=0, v2=100)
    plane.advance(60)
    assert http.get(f"{SERVICES}/{service}").json()["result"]["is_multi_version"] is False


# ── weights and restart ─────────────────────────────────────────────────────


@pytest.mark.parametrize("asked", [{"v2": 40}, {"v1": 60}, {"v1": 60, "v2": 40}])
def test_weights_are_moved_without_a_deploy(http, plane, service, asked):
    """Any one of the two weights says what the other is."""
    apply(http, version="v2", canary_percent=10, ray_serve_config=served("main:v2"))
    plane.advance(10)
    versions = [{"name": name, "traffic_percent": percent} for name, percent in asked.items()]
    assert http.put(f"{SERVICES}/{service}/update_weights", json={"versions": versions}).status_code == 200
    plane.advance(10)
    assert weights(http, service) == {"v1": 60, "v2": 40}


@pytest.mark.parametrize(
    ("asked", "status"), [({"v1": 60, "v2": 50}, 422), ({"v9": 10}, 404), ({"v2": 101}, 422), ({}, 422)]
)
def test_weights_that_cannot_be_are_refused(http, plane, service, asked, status):
    """Unknown versions and sums beyond all are no weights."""
    apply(http, version="v2", canary_percent=0, ray_serve_config=served("main:v2"))
    plane.advance(10)
    versions = [{"name": name, "traffic_percent": percent} for name, percent in asked.items()]
    answer = http.put(f"{SERVICES}/{service}/update_weights", json={"versions": versions})
    assert answer.status_code == status
    plane.advance(10)
    assert weights(http, service) == {"v1": 100, "v2": 0}


def test_one_version_has_no_weight_to_move(http, service):
    """Without a rollout it is a conflict."""
    asked = {"versions": [{"name": "v1", "traffic_percent": 50}]}
    assert http.put(f"{SERVICES}/{service}/update_weights", json=asked).status_code == 409


def test_a_restart_runs_what_ran_last(http, plane, service):
    """Only what has ended is restarted: the same configuration under the same service and a new version id."""
    assert http.post(f"{SERVICES}/{service}/restart").status_code == 409
    before = http.get(f"{SERVICES}/{service}").json()["result"]["primary_version"]
    http.post(f"{SERVICES}/{service}/terminate")
    plane.advance(60)
    assert http.post(f"{SERVICES}/{service}/restart").json()["result"]["current_state"] == "STARTING"
    plane.advance(10)
    after = http.get(f"{SERVICES}/{service}").json()["result"]["primary_version"]
    assert (after["current_state"], after["ray_serve_config"]) == ("RUNNING", before["ray_serve_config"])
    assert after["id"] != before["id"]


# ── tags ────────────────────────────────────────────────────────────────────


def test_tags_are_set_shown_and_removed(http, service):
    """Setting adds and replaces, removing counts what was there, and lists filter by what is left."""
    about = {"resource_type": "service", "resource_id": service}
    http.put("/api/v2/tags/resource", json={**about, "tags": {"team": "x", "env": "p"}})
    http.put("/api/v2/tags/resource", json={**about, "tags": {"team": "y"}})
    shown = http.get("/api/v2/tags/resource", params=about).json()["result"]["tags"]
    assert [(tag["key"], tag["value"], tag["resource_id"]) for tag in shown] == [
        ("env", "p", service),
        ("team", "y", service),
    ]
    removed = http.request("DELETE", "/api/v2/tags/resource", json={**about, "keys": ["env", "none"]})
    assert removed.json()["result"] == {"deleted": 1}
    assert http.get(SERVICES, params={"tag_filter": "env:p"}).json()["metadata"]["total"] == 0
    assert http.get(SERVICES, params={"tag_filter": "team:y"}).json()["metadata"]["total"] == 1


@pytest.mark.parametrize(
    ("about", "status"),
    [
        ({"resource_type": "job", "resource_id": "x"}, 422),
        ({"resource_type": "service", "resource_id": "x"}, 404),
        ({}, 422),
    ],
)
def test_only_services_have_tags(http, about, status):
    """Jobs and workspaces are not of this plane."""
    assert http.put("/api/v2/tags/resource", json={**about, "tags": {"a": "b"}}).status_code == status


# ── tokens ──────────────────────────────────────────────────────────────────


def tokens(answer):
    service = answer.json()["result"]
    return service["auth_token"], service["secondary_auth_token"]


@pytest.fixture
def rotating(http, service):
    """A service with two tokens, and a way to delete one of them."""
    added = http.post(f"{SERVICES}/{service}/add_secondary_auth_token")
    path = f"{SERVICES}/{service}/delete_secondary_auth_token"
    return tokens(added), lambda **named: http.post(path, params=named)


def test_a_second_token_lets_in_as_well(plane, rotating):
    """The router is told both."""
    (first, second), _ = rotating
    plane.advance(1)
    assert (plane.router.routes[0].token, plane.router.routes[0].second) == (first, second)
    assert second not in repr(plane.router.routes[0])
    assert second not in repr(plane.service("svc"))


@pytest.mark.parametrize("which", ["first", "none", "second"])
def test_a_token_is_taken_away_by_name(rotating, which):
    """The first by its name or none, and then the second takes its place; or the second."""
    (first, second), delete = rotating
    named = {"first": {"auth_token": first}, "none": {}, "second": {"auth_token": second}}[which]
    assert tokens(delete(**named)) == ((first if which == "second" else second), None)


def test_the_last_token_stays(http, service, rotating):
    """Neither the only one, nor a third one, nor one that is not there."""
    _, delete = rotating
    assert delete(auth_token="wrong").status_code == 404
    assert http.post(f"{SERVICES}/{service}/add_secondary_auth_token").status_code == 409
    assert (delete().status_code, delete().status_code) == (200, 409)


def test_an_open_service_gets_no_second_token(http):
    """Where nobody is asked, there is nothing to rotate."""
    found = apply(http, config={"access": {"use_bearer_token": False}}).json()["result"]["id"]
    assert http.post(f"{SERVICES}/{found}/add_secondary_auth_token").status_code == 409


def test_tokens_are_in_no_event(http, plane, service, rotating):
    """The record says that a token came, and not which."""
    both, _ = rotating
    told = http.get(f"{SERVICES}/{service}/events").text
    assert "second token" in told
    assert not any(token in told for token in both)
