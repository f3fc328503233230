from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider import memory
from airflow_provider.links import ReportLink
from airflow_provider.memory import Memory, newer, trimmed
from airflow_provider.operators import RolloutOperator
from airflow_provider.pages import application, drawn
from anyservice_core.rollout.journal import Journal

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(40)]


class Key:
    dag_id, run_id, task_id, map_index = "a dag", "manual__2026-01-01T00:00:00+00:00", "g.rollout", -1


@pytest.mark.needs_airflow(3, 1)
def test_the_button_needs_nothing_from_the_task():
    """It leads to the page from the first moment, and its parts cannot be taken for others."""
    link = ReportLink().get_link(None, ti_key=Key)

    assert link.endswith(
        "/anyservice/rollouts/a%20dag/manual__2026-01-01T00%3A00%3A00%2B00%3A00/g.rollout/-1"
    )


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
def test_a_rollout_is_drawn_from_what_its_task_has_left(airflow, serving, config, *, deferrable):
    """While it is under way and when it is over; before that there is nothing to draw."""
    with DAG("a_dag", schedule=None):
        task = RolloutOperator(
            task_id="rollout",
            config=config.options(tags={"a": "b"}),
            plan={"steps": [10, 50], "bake": "1m"},
            poll_interval_s=5,
            deferrable=deferrable,
        )
    airflow.run(task)
    left = airflow.ti.xcoms

    assert "recommender" in drawn(left["report"], left["journal"], left["events"])
    assert "under way" in drawn(None, left["journal"], left["events"])
    assert drawn(None, None, None) is None


@pytest.mark.needs_airflow(3, 1)
def test_only_those_who_may_see_the_dag_see_the_page():
    """The route asks Airflow's own guard; without a login there is nothing to see."""
    from fastapi.routing import APIRoute

    route = next(
        route for route in application().routes if isinstance(route, APIRoute) and "rollouts" in route.path
    )

    assert len(route.dependencies) == 1


def test_of_two_journals_the_one_that_has_seen_more_counts():
    """A triggerer that was killed left a newer one than its arguments hold; another version's is no successor."""
    old, new = {"version_name": "a", "looked_at": 1.0}, {"version_name": "a", "looked_at": 2.0}

    assert newer(old, new) is new
    assert newer(new, old) is new
    assert newer(old, None) is old
    assert newer(None, new) is new
    assert newer(old, {"version_name": "b", "looked_at": 3.0}) is old


def test_a_long_story_keeps_its_beginning_and_its_end():
    """An XCom is no place for a million measurements."""
    story = [{"n": number} for number in range(1000)]
    kept = trimmed(story)

    assert len(kept) == 400
    assert (kept[0], kept[-1]) == (story[0], story[-1])
    assert trimmed(story[:5]) == story[:5]


def test_a_memory_out_of_reach_stops_nothing(monkeypatch, caplog):
    """What cannot be written down is a line of the log; the rollout goes on."""
    import asyncio

    monkeypatch.setattr(memory, "XCom", None)
    assert asyncio.run(Memory(Key).recall("journal")) is None
    assert "out of reach" in caplog.text
    assert asyncio.run(Memory(None).recall("journal")) is None


def test_a_rollout_that_goes_on_is_not_called_paused():
    """Its page says that it is under way, and at what weight it is now rather than what it has passed."""
    journal = Journal.fresh("a key", "v2", 0, 1.0).replace(weight=50, seen_at=2.0, baked_s=3.0, looked_at=9.0)
    page = drawn(None, journal.model_dump(mode="json"), None)

    assert "v2 is under way at 50 %" in page
    assert "Seen last" in page
    assert "paused" not in page
