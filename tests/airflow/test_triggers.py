from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
import uvicorn

from airflow_provider import compat
from airflow_provider.triggers import RolloutTrigger, WaitTrigger
from anyservice_core.plane.app import application

pytestmark = pytest.mark.airflow


def wait_trigger(**options):
    arguments = {
        "conn_id": "anyservice_default",
        "poll_interval_s": 2.0,
        "service": {"name": "recommender"},
        "goal": {"state": ["RUNNING"], "version": "v2", "canary_weight": 10},
        "deadline": time.time() + 600,
        **options,
    }
    return WaitTrigger(**arguments)


def rollout_trigger(**options):
    arguments = {
        "conn_id": "anyservice_default",
        "poll_interval_s": 2.0,
        "mine": {"version": "v2", "name": "recommender", "cloud": None, "project": None},
        "relay": {
            "service": "recommender",
            "journal": {"rollout_key": "k", "version_name": "v2", "started": True},
        },
        "plan": {"steps": [{"weight": 10, "bake": 60.0}]},
        **options,
    }
    return RolloutTrigger(**arguments)


@pytest.fixture
def canary(serving, config):
    with serving.client() as client:
        client.deploy(config.options(version_name="v2"), canary_percent=10)
        client.wait("recommender", version="v2", canary_weight=10)
    return serving


def test_nothing_is_told_before_the_executor_has_reported(airflow, canary, monkeypatch):
    """Airflow takes a task that is resumed before that for one that died, and would try it again."""
    monkeypatch.setenv("AIRFLOW__ANYSERVICE__LET_GO_S", "10")
    for trigger, status in (
        (wait_trigger(), "success"),
        (
            wait_trigger(goal={"state": ["RUNNING"], "version": "v9", "canary_weight": 10}, deadline=0),
            "error",
        ),
    ):
        began = canary.now
        assert airflow.fire(trigger)["status"] == status
        assert canary.now - began == pytest.approx(10, abs=1)


def serde():
    """Airflow's own serialisation, which has moved."""
    try:
        from airflow.sdk.serde import deserialize, serialize
    except ImportError:
        from airflow.serialization.serde import deserialize, serialize
    return deserialize, serialize


@pytest.mark.parametrize("make", [wait_trigger, rollout_trigger])
def test_a_trigger_is_its_arguments(make):
    """What Airflow writes into its database makes the same trigger again, through its serialisation and through JSON."""
    deserialize, serialize = serde()
    trigger = make(on_kill_do="rollback")
    path, arguments = trigger.serialize()
    again = type(trigger)(**deserialize(serialize(arguments)))

    assert path == f"airflow_provider.triggers.{type(trigger).__name__}"
    assert again.serialize() == trigger.serialize()
    assert json.loads(json.dumps(arguments)) == arguments


def test_an_error_that_is_not_ours_is_not_hidden(airflow, serving):
    """A bug ends the task with its traceback; only our own errors become events."""
    with pytest.raises(TypeError):
        airflow.fire(wait_trigger(goal={"colour": "green"}))


def test_the_loop_is_never_blocked(serving, config, monkeypatch):
    """Triggers and the plane they ask live on one event loop: a single blocking call, and neither would end."""
    with serving.client() as client:
        client.deploy(config.options(version_name="v2"), canary_percent=10)

    async def main() -> list[str]:
        async with on_this_loop(serving) as host:
            value = {"conn_type": "anyservice", "host": host, "password": "aph0_fake"}
            monkeypatch.setenv("AIRFLOW_CONN_ANYSERVICE_DEFAULT", json.dumps(value))
            triggers = [wait_trigger(poll_interval_s=0.05) for _ in range(10)]
            async with asyncio.timeout(30):
                events = await asyncio.gather(*(anext(trigger.run()) for trigger in triggers))
        return [event.payload["status"] for event in events]

    assert asyncio.run(main()) == ["success"] * 10


@asynccontextmanager
async def on_this_loop(plane):
    """Serve a fake plane over HTTP from the running loop, its clock going on by itself."""
    server = uvicorn.Server(uvicorn.Config(application(plane.api), port=0, log_level="error", lifespan="off"))
    serving = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    ticking = asyncio.ensure_future(tick(plane))
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    ticking.cancel()
    server.should_exit = True
    await serving


async def tick(plane):
    while True:
        plane.advance(0.25)
        await asyncio.sleep(0.01)


# ── kills ──


class Comms:
    """Answers as the triggerer's supervisor does: with the state of the task."""

    def __init__(self, state: str | None) -> None:
        self.state = state

    def send(self, message):
        from airflow.sdk.execution_time.comms import TaskStatesResult

        if self.state is None:
            raise RuntimeError("the supervisor is gone")
        return TaskStatesResult(task_states={message.run_ids[0]: {message.task_ids[0]: self.state}})


def airflow_says(monkeypatch, state):
    """Let Airflow answer what the state of the task is: through its supervisor, or on Airflow 2 from its database."""
    if compat.VERSION >= (3,):
        from airflow.sdk.execution_time import task_runner

        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Comms(state), raising=False)
    elif state is not None:  # else there is no such table
        monkeypatch.setattr(compat, "_in_database", lambda _: state)


class DeferredTask:
    dag_id, task_id, run_id, map_index = "a_dag", "rollout", "manual__1", -1


@pytest.mark.parametrize(
    ("choice", "state", "left"),
    [
        ("leave", "failed", True),
        ("rollback", "failed", False),
        ("rollback", "success", True),
        ("rollback", "running", True),
        ("rollback", None, True),
    ],
)
def test_a_kill_acts_by_what_the_person_meant(airflow, canary, monkeypatch, caplog, *, choice, state, left):
    """Mark-failed takes the canary back where that was chosen; mark-success, clear and not knowing leave it."""
    airflow_says(monkeypatch, state)
    trigger = rollout_trigger(on_kill_do=choice)
    trigger.hook_class = airflow.hook_class
    trigger.task_instance = DeferredTask()
    with caplog.at_level("INFO"):
        asyncio.run(trigger.on_kill())
    canary.advance(60)

    assert ("left as it is" in caplog.text) is left
    assert (canary.service("recommender").canary is not None) is left
    assert canary.service("recommender").primary.name == "v1"


def test_a_kill_never_touches_a_strangers_canary(airflow, canary, config, monkeypatch):
    """When another version has taken the canary's place, the kill comes too late to do anything."""
    airflow_says(monkeypatch, "failed")
    with canary.client() as other:
        other.deploy(config.options(version_name="theirs"), canary_percent=20)
    trigger = rollout_trigger(on_kill_do="rollback")
    trigger.hook_class = airflow.hook_class
    trigger.task_instance = DeferredTask()
    asyncio.run(trigger.on_kill())

    assert canary.service("recommender").canary.name == "theirs"


def test_cleanup_asks_nobody(airflow, canary):
    """It also runs when a triggerer shuts down, where a question would never be answered."""
    trigger = rollout_trigger()
    trigger.hook_class = airflow.hook_class
    asked = len(canary.requests)
    asyncio.run(trigger.cleanup())

    assert len(canary.requests) == asked
