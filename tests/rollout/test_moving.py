"""The last look before a write: what changed since the decision is left alone."""

from typing import Any

import pytest

from anyservice_core.operations.moving import begin, compose, move, take_back
from anyservice_core.rollout.observe import Observation, observe


@pytest.fixture
def service_id(stage: Any) -> str:
    """A service with a canary at 10 %."""
    stage.first()
    service_id = str(stage.client.deploy(stage.config(2, version_name="v2"), canary_percent=10))
    stage.client.wait("rec", version="v2", canary_weight=10)
    stage.plane.requests.clear()
    return service_id


def look(stage: Any) -> Observation:
    return observe(stage.client.status("rec"), "v2", stage.plane.now)


def test_our_canary_is_raised_and_taken_back(stage: Any, service_id: str) -> None:
    """One write each."""
    ours = stage.plane.version_id("v2")
    assert stage.client.run(move(service_id, ours, 50))
    stage.plane.advance(1)
    assert stage.canary.weight == 50
    assert stage.client.run(take_back(service_id, ours, None))
    assert [write.split()[0] for write in stage.writes] == ["PUT", "POST"]


@pytest.mark.parametrize("weight", [0, 9])
def test_a_weight_is_never_lowered(stage: Any, service_id: str, weight: int) -> None:
    """A slow worker cannot rewind a faster one."""
    assert not stage.client.run(move(service_id, stage.plane.version_id("v2"), weight))
    assert stage.writes == []


def test_a_stranger_in_our_place_is_neither_raised_nor_taken_back(stage: Any, service_id: str) -> None:
    """Someone deployed between our decision and our write."""
    ours = stage.plane.version_id("v2")
    stage.client.deploy(stage.config(3, version_name="theirs"), canary_percent=5)
    stage.plane.requests.clear()
    assert not stage.client.run(move(service_id, ours, 50))
    assert not stage.client.run(take_back(service_id, ours, None))
    assert stage.writes == []
    assert stage.canary.name == "theirs"


def test_a_rollback_under_way_is_not_turned_round(stage: Any, service_id: str) -> None:
    """Someone took it back between our decision and our write."""
    ours = stage.plane.version_id("v2")
    stage.client.rollback("rec")
    stage.plane.requests.clear()
    assert not stage.client.run(move(service_id, ours, 50))
    assert not stage.client.run(take_back(service_id, ours, None))
    assert stage.writes == []


def test_a_deploy_is_left_out_when_a_canary_appeared(stage: Any) -> None:
    """It would end a stranger's canary."""
    stage.first()
    decided_on = look(stage)
    body = stage.client.run(compose(stage.config(2, version_name="v2")))
    stage.client.deploy(stage.config(3, version_name="theirs"), canary_percent=5)
    stage.plane.requests.clear()
    assert stage.client.run(begin(body, decided_on, 10, None)) is None
    assert stage.writes == []


def test_a_first_deploy_is_left_out_when_the_service_appeared(stage: Any) -> None:
    """Without a weight it would walk to 100 beside a version that nobody compared it with."""
    body = stage.client.run(compose(stage.config(2, version_name="v2")))
    stage.client.deploy(stage.config(3, version_name="theirs"))
    stage.plane.requests.clear()
    assert stage.client.run(begin(body, Observation(at=0.0), 10, None)) is None
    assert stage.writes == []


def test_the_weight_is_always_said_to_a_service_that_runs(stage: Any) -> None:
    """Without one the platform walks to 100 by itself; a service that does not run takes none."""
    body = stage.client.run(compose(stage.config(1)))
    sent = written(stage, begin(body, Observation(at=0.0), 10, 30))
    assert "canary_percent" not in sent[0].json
    assert sent[0].json["max_surge_percent"] == 30
    stage.client.wait("rec")
    body = stage.client.run(compose(stage.config(2)))
    (put,) = written(stage, begin(body, look(stage), 10, None))
    assert put.json["canary_percent"] == 10


def written(stage: Any, op: Any) -> list[Any]:
    """The requests of a conversation that are no reads."""
    asked = []
    effect = next(op)
    while True:
        if getattr(effect, "method", "GET") != "GET":
            asked.append(effect)
        try:
            effect = op.send(stage.client._perform(effect))
        except StopIteration:
            return asked
