from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest

from airflow_provider import watchers
from airflow_provider.assets import service_asset
from airflow_provider.watchers import ServiceChangeTrigger

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(30)]


class Kept:
    """Stands for the asset's state store, as a watcher's trigger sees it."""

    def __init__(self):
        self.values = {}

    async def aget(self, key):
        return json.loads(self.values.get(key, "null"))

    async def aset(self, key, value):
        self.values[key] = json.dumps(value)


def trigger(airflow, store=None, **options):
    path, arguments = ServiceChangeTrigger(service="recommender", poll_interval_s=5, **options).serialize()
    assert path == "airflow_provider.watchers.ServiceChangeTrigger"
    made = ServiceChangeTrigger(**json.loads(json.dumps(arguments)))
    made.hook_class = airflow.hook_class
    made.asset_state_store = store
    return made


def events(trigger, count):
    async def main():
        found = []
        async with aclosing(trigger.run()) as stream:
            async for event in stream:
                found.append(event.payload)
                if len(found) == count:
                    return found
        raise AssertionError("it ended")

    return asyncio.run(main())


def change(plane, config, name):
    with plane.client() as client:
        client.deploy(config.options(version_name=name), canary_percent=10)


def learn(airflow, store):
    """Let a watcher have its first look, and end it."""

    async def main():
        task = asyncio.ensure_future(anext(trigger(airflow, store).run()))
        while not store.values:  # noqa: ASYNC110
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_a_change_is_told_once_across_restarts(airflow, serving, config):
    """What happened while no triggerer ran is told by the next, and not a second time by the one after it."""
    store = Kept()
    learn(airflow, store)
    change(serving, config, "v2")
    first = events(trigger(airflow, store, of=["version", "state"]), 1)

    assert first[0]["changed"] == ["state", "canary"]
    assert (first[0]["before"]["canary"], first[0]["now"]["canary"]) == (None, "v2")

    with serving.client() as client:
        client.rollback("recommender")
    second = events(trigger(airflow, store), 1)
    assert second[0]["before"] == first[0]["now"]


def test_only_what_was_asked_for_counts(airflow, serving, config):
    """A watcher of versions is not woken by states that come and go."""
    store = Kept()
    asyncio.run(store.aset("seen", {"primary": "v0", "canary": None}))
    told = events(trigger(airflow, store, of=["version"]), 1)

    assert set(told[0]["now"]) == {"primary", "canary"}
    with pytest.raises(ValueError, match="colour"):
        ServiceChangeTrigger(service="recommender", of=["colour"])


def test_looks_that_fail_do_not_end_the_watch(airflow, serving, monkeypatch, caplog):
    """A watcher that dies is noticed by nobody; so it bears with whatever the server says, more and more patiently."""
    rests = []

    async def rest(seconds):
        rests.append(seconds)

    store = Kept()
    asyncio.run(store.aset("seen", {"state": "STARTING", "primary": None, "canary": None}))
    monkeypatch.setattr(watchers, "_rest", rest)
    monkeypatch.setattr(ServiceChangeTrigger, "_look", failing(ServiceChangeTrigger._look, 3))
    told = events(trigger(airflow, store), 1)

    assert rests == [10, 20, 40]
    assert told[0]["now"]["primary"] == "v1"
    assert "trying again later" in caplog.text


def failing(look, times):
    from anyservice_core import AuthError

    left = [times]

    async def tried(self, client):
        if left[0]:
            left[0] -= 1
            raise AuthError("the token has expired", status=401)
        return await look(self, client)

    return tried


def test_a_service_that_goes_is_a_change_too(airflow, plane, config):
    """It was there and is not any more: that is told, with nothing in its place."""
    store = Kept()
    asyncio.run(store.aset("seen", {"state": "RUNNING", "primary": "v1", "canary": None}))

    assert events(trigger(airflow, store), 1)[0]["now"] == {"state": None, "primary": None, "canary": None}


@pytest.mark.needs_airflow(3, 0)
def test_a_watcher_is_taken_by_an_asset():
    """Airflow accepts the trigger as one that schedules DAGs."""
    from airflow.sdk import AssetWatcher

    watcher = AssetWatcher(name="changes", trigger=ServiceChangeTrigger(service="recommender"))

    assert service_asset("recommender", watchers=[watcher]).watchers == [watcher]
