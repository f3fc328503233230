from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from anyservice_core import RolloutPlan, RolloutReport, ServiceConfig
from anyservice_core.operations.relay import Relay
from anyservice_core.testing import FakePlane

PLAN = RolloutPlan.parse({"steps": [10, 50], "bake": "1m"})
SECRET = "s3cr3t-of-the-user"


def config(version: str) -> ServiceConfig:
    return ServiceConfig(
        name="recommender",
        version_name=version,
        applications=[{"import_path": "main:app"}],
        env_vars={"TOKEN": SECRET},
    )


@pytest.fixture
def plane() -> Iterator[FakePlane]:
    with FakePlane() as plane, plane.client() as client:
        client.deploy(config("v1"))
        client.wait("recommender")
        yield plane


def test_beginning_deploys_and_hands_on(plane):
    """It takes one look and does what that calls for, without waiting for what comes of it."""
    before = plane.now
    with plane.client() as client:
        relay = client.begin_rollout(config("v2"), PLAN)

    assert isinstance(relay, Relay)
    assert relay.journal.started
    assert plane.now == before
    assert plane.service("recommender").canary.name == relay.journal.version_name


def test_what_is_handed_on_is_plain_and_holds_no_secret(plane):
    """It may be kept in a database that others read."""
    with plane.client() as client:
        text = json.dumps(client.begin_rollout(config("v2"), PLAN).to_dict())

    assert SECRET not in text


def test_following_needs_no_config(plane):
    """Another process, knowing only what was handed on, brings the version to all traffic."""
    with plane.client() as client:
        values = json.loads(json.dumps(client.begin_rollout(config("v2"), PLAN).to_dict()))
    with plane.client() as other:
        report = other.follow_rollout(values, PLAN.to_dict())

    assert report.outcome == "succeeded"
    assert [step.weight for step in report.steps] == [10, 50]


def test_nothing_to_do_is_over_at_once(plane):
    """A version that is primary already has no relay to run."""
    with plane.client() as client:
        client.rollout(config("v2"), PLAN)
        report = client.begin_rollout(config("v2"), PLAN)

    assert isinstance(report, RolloutReport)
    assert report.outcome == "no_change"


def test_a_follower_says_when_it_is_time_to_deploy(plane):
    """While another rollout is in the way there is nothing to deploy; afterwards only who has the config can."""
    with plane.client() as client:
        client.deploy(config("theirs"), canary_percent=20)
        relay = client.begin_rollout(config("v2"), PLAN)
        assert not relay.journal.started
        client.rollback("recommender")

        assert client.follow_rollout(relay, PLAN) is None
        assert client.begin_rollout(config("v2"), PLAN).journal.started
