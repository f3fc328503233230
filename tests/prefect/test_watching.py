"""Telling how a call goes must never be in the way of the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prefect import task
from pydantic import BaseModel, model_serializer

from anyservice_core.rollout import Event, Journal, Kind
from prefect_tasks.reporting import Exhibit, Story, Verdicts
from prefect_tasks.watching import RolloutWatch, Watch, within_run

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240)]

HOST = "http://plane.test"
BAKING = Event(Kind.BAKING, "recommender", "v2-abc", 10, "weight 10 % seen", 1_800_000_000.0)


class Unshowable(Story):
    """Tells of a table that Prefect cannot write down."""

    def hear(self, event: Any) -> Iterator[Exhibit]:
        yield Verdicts("recommender", ({"number": object()},))

    def end(self, outcome: object, console: str) -> Iterator[Exhibit]:
        yield from self.hear(outcome)


class Unwritable(BaseModel):
    """A journal that cannot be written down."""

    @model_serializer
    def fail(self) -> str:
        raise TypeError("not to be written down")


@pytest.mark.usefixtures("prefect_server")
def test_an_artifact_that_is_not_taken_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """When an artifact fails, the log says so and the rollout goes on."""

    @task
    def watch() -> str:
        watching = RolloutWatch("recommender", Unshowable())
        watching.begin(HOST)
        watching.see(BAKING)
        watching.keep("rollout/recommender", Unwritable())
        watching.end("done", HOST)
        return "went on"

    assert watch() == "went on"
    assert caplog.text.count("Prefect did not take it, the call goes on") >= 2


@pytest.mark.anyio
@pytest.mark.usefixtures("prefect_server")
async def test_nor_is_it_in_the_way_on_an_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    """The same holds for the awaited tasks."""

    @task
    async def watch() -> str:
        watching = RolloutWatch("recommender", Unshowable())
        await watching.abegin(HOST)
        watching.see(BAKING)
        watching.keep("rollout/recommender", Unwritable())
        await watching.aend("done", HOST)
        return "went on"

    assert await watch() == "went on"
    assert caplog.text.count("Prefect did not take it, the call goes on") >= 2


@pytest.mark.usefixtures("prefect_server")
def test_what_is_remembered_is_of_one_service_on_one_plane() -> None:
    """What failed in staging says nothing of production, nor of another service; the latest word counts."""

    @task
    def remember(service: str, host: str, *words: str) -> object:
        watching = RolloutWatch(service)
        watching.begin(host)
        for word in words:
            watching.keep(f"rollout/{service}", Journal(rollout_key=word, version_name="v2"))
        watching.end(None, host)
        return watching.journal and watching.journal["rollout_key"]

    assert remember("a", HOST, "first", "second") is None
    assert remember("a", HOST, "third") == "second"
    assert remember("a", HOST) == "third"
    assert remember("a", "https://production") is None
    assert remember("b", HOST) is None


def test_outside_of_a_run_there_is_only_the_log() -> None:
    """Without a run there is no page: what watches then asks nothing of Prefect."""
    watch = RolloutWatch("recommender")
    assert type(within_run(watch)) is Watch
