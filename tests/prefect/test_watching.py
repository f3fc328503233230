"""Telling how a call goes must never be in the way of the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prefect import task

from anyservice_core.rollout import Event, Kind
from prefect_tasks.reporting import Exhibit, Story, Verdicts
from prefect_tasks.watching import RolloutWatch

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240)]

BAKING = Event(Kind.BAKING, "recommender", "v2-abc", 10, "weight 10 % seen", 1_800_000_000.0)


class Unshowable(Story):
    """Tells of a table that Prefect cannot write down."""

    def hear(self, event: Any) -> Iterator[Exhibit]:
        yield Verdicts("recommender", ({"number": object()},))

    def end(self, outcome: object, console: str) -> Iterator[Exhibit]:
        yield from self.hear(outcome)


@pytest.mark.usefixtures("prefect_server")
def test_an_artifact_that_is_not_taken_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """When an artifact fails, the log says so and the rollout goes on."""

    @task
    def watch() -> str:
        watching = RolloutWatch(Unshowable())
        watching.see(BAKING)
        watching.end("done", "http://plane.test")
        return "went on"

    assert watch() == "went on"
    assert caplog.text.count("An artifact was not taken, the call goes on: TypeError") == 2


@pytest.mark.anyio
@pytest.mark.usefixtures("prefect_server")
async def test_nor_does_it_on_an_event_loop(caplog: pytest.LogCaptureFixture) -> None:
    """The same holds for the awaited tasks."""

    @task
    async def watch() -> str:
        watching = RolloutWatch(Unshowable())
        await watching.asee(BAKING)
        await watching.aend("done", "http://plane.test")
        return "went on"

    assert await watch() == "went on"
    assert caplog.text.count("An artifact was not taken") == 2


def test_outside_of_a_run_events_go_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Without a run there is no page: nothing is asked of Prefect, which would complain."""
    watch = RolloutWatch(Unshowable())
    watch.see(BAKING)
    watch.end("done", "http://plane.test")
    assert "weight 10 % seen" in caplog.text
    assert "not taken" not in caplog.text
