from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from anyservice_core import RolloutPlan, RolloutReport, ServiceConfig
from anyservice_core.operations.relay import Relay
from anyservice_core.rollout.orders import PROMOTION, Order, OrderKind
from anyservice_core.rollout.parts import parts
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


def test_going_on_needs_no_config_either(plane):
    """One look at what was begun: nothing new is deployed, whatever the files say since; before the deploy it says so."""
    with plane.client() as client:
        relay = client.begin_rollout(config("v2"), PLAN)
        plane.advance(60)
        again = client.resume_rollout(relay.to_dict(), PLAN)
        assert again.journal.weight == 10
        assert plane.service("recommender").canary.name == relay.journal.version_name

        client.rollback("recommender")
        plane.advance(60)
        fresh = relay.model_copy(update={"journal": relay.journal.fresh("key", "v3", 0, plane.now)})
        assert client.resume_rollout(fresh, PLAN) is None


# ── in parts ──


HELD = RolloutPlan.parse({"steps": [10, {"weight": 50, "approval": True}], "bake": "1m", "promotion": True})


class Over(Exception):
    """The part has come to its end, or to people."""


@pytest.fixture
def run_part(plane):
    """Run one part of a rollout up to the gate ``end`` or an approval; give its journal, or the report."""
    kept = {}

    def save(key, journal):
        kept["journal"] = journal
        if journal.gate:
            raise Over

    def run(part, orders=()):
        with plane.client(on_save=save, on_orders=lambda key: orders) as client:
            try:
                begun = client.begin_rollout(
                    config("v2"), part.plan(HELD), journal=kept.get("journal"), until=part.until
                )
                return (
                    begun
                    if isinstance(begun, RolloutReport)
                    else client.follow_rollout(begun, part.plan(HELD))
                )
            except Over:
                return kept["journal"]

    return run


def yes(plane, gate=None, kind=OrderKind.APPROVE):
    return Order(kind=kind, at=plane.now, by="ann", gate=gate)


def test_the_parts_of_a_plan_stand_in_a_row():
    """Each step, each approval, and the promotion at the end, even where there is nothing else."""
    names = [part.name for part in parts(HELD)]

    assert names == ["step_10", "step_50", "approve_50", "approve_promotion", "promote"]
    assert [part.name for part in parts(RolloutPlan.parse({"steps": []}))] == ["promote"]


def test_parts_are_one_rollout(plane, run_part):
    """Each ends where the next begins, moves nothing that is not its own, and asks only what it is there for."""
    seen = []
    for part in parts(HELD):
        done = run_part(part)
        if part.gate:
            assert done.gate == part.gate
            done = run_part(part, [yes(plane, part.gate)])
        seen.append(done.weight if part.until is not None else done.outcome)
        if part.until is not None:
            assert (done.gate, plane.service("recommender").canary.weight) == ("end", part.until)

    assert seen == [10, 50, 50, 50, "succeeded"]
    assert [step.weight for step in done.steps] == [10, 50]
    assert [order.gate for order in done.orders] == ["50", "promotion"]


def test_an_order_to_go_on_goes_beyond_the_end_of_a_part(plane, run_part):
    """It says to go on from the present step whatever holds it; then the part ends at the weight that was gone on to."""
    first = next(iter(parts(HELD)))
    run_part(first)
    done = run_part(first, [yes(plane, kind=OrderKind.PROMOTE)])

    assert (done.gate, done.weight) == ("end", 50)


def test_a_promotion_without_steps_is_asked_for_before_the_deploy(plane):
    """The part that asks deploys nothing; the one after it does."""
    plan = RolloutPlan.parse({"steps": [], "promotion": True})
    ask, promote = parts(plan)
    orders = []
    with plane.client(on_orders=lambda key: orders) as client:
        held = client.begin_rollout(config("v2"), ask.plan(plan), until=ask.until)
        orders.append(yes(plane, PROMOTION))
        over = client.begin_rollout(config("v2"), ask.plan(plan), journal=held.journal, until=ask.until)
        assert (held.journal.gate, over.journal.gate) == (PROMOTION, "end")
        assert plane.service("recommender").canary is None
        begun = client.begin_rollout(config("v2"), promote.plan(plan), journal=over.journal)

    assert begun.journal.started
