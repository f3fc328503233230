"""Pages on operators: their DAGs are read by Airflow as they stand, and their tasks run, in the page's order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from tests.airflow.conftest import read_dags
from tests.airflow.test_group import PerTask, answer

# They speak of Airflow 3.3; what an older one lacks is told in airflow.md, and tried with its examples.
pytestmark = [pytest.mark.airflow, pytest.mark.needs_airflow(3, 3), pytest.mark.timeout(60)]

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
PAGES = sorted(path.stem for path in HOWTO.glob("airflow_*.md") if "_dag.py" in path.read_text())
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@pytest.fixture
def dags(tmp_path):
    """Writes the files of a page, with code for its service, and reads its DAGs."""

    def read(page):
        for name, content in FILE.findall((HOWTO / f"{page}.md").read_text()):
            (tmp_path / name).write_text(content)
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "main.py").write_text("app = None\n")
        bag = read_dags(tmp_path, tmp_path)
        assert bag.import_errors == {}
        assert bag.dags
        return bag.dags

    return read


@pytest.mark.parametrize("page", PAGES)
def test_the_dags_of_a_page_are_read_by_airflow(dags, serialised, page):
    """The parser takes them without a complaint, and the scheduler sees the same."""
    for dag in dags(page).values():
        again = serialised.from_dict(serialised.to_dict(dag))
        assert set(again.task_ids) == set(dag.task_ids)


def test_a_rollout_brings_the_version(dags, airflow, serving):
    """Its result is the report, and the service has the version."""
    serving.send_traffic(100)
    report = airflow.run(dags("airflow_rollout")["recommender"].get_task("rollout"))

    assert report["outcome"] == "succeeded"
    assert serving.service("recommender").primary.name == report["version_name"]


def test_the_steps_of_a_group_and_its_question(dags, airflow, serving, monkeypatch):
    """Two steps, a yes, and the promotion: one rollout."""
    monkeypatch.setattr("airflow_provider.gates.asks_people", lambda: lambda **question: None)
    serving.send_traffic(100)
    airflow.ti.of_a_run()
    dag, tasks = dags("airflow_steps")["recommender_steps"], PerTask(airflow.ti)
    for name in ("step_10", "step_50"):
        tasks.run(airflow, dag, name)
    task, _ = tasks.ask(airflow, dag, "approve_promotion")
    serving.advance(60)
    event = answer("Approve", serving.now)
    assert task.resume_execution("resume", {"event": event}, airflow.context)["weight"] == 50

    assert tasks.run(airflow, dag, "promote")["outcome"] == "succeeded"


def test_a_deploy_is_moved_from_weight_to_weight(dags, airflow, serving):
    """One version all the way; undo takes back what the tasks of its run have brought, and is red for it."""
    dag = dags("airflow_deploy")["recommender_by_hand"]
    weights = []
    for name in ("canary", "half"):
        airflow.run(dag.get_task(name))
        weights.append(serving.service("recommender").canary.weight)
    assert weights == [10, 50]
    with pytest.raises(AirflowFailException, match="v1 serves again"):
        airflow.run(dag.get_task("undo"))
    airflow.run_id = "manual__2"
    airflow.run(dag.get_task("promote"))

    assert serving.service("recommender").primary.name != "v1"


def test_a_rollback_by_hand_and_by_itself(dags, airflow, serving):
    """Pressed as a button, or called when a run has failed."""
    found = dags("airflow_rollback")
    airflow.more["params"] = {"service": "recommender"}
    for how in ("by hand", "by itself"):
        airflow.run_id = how
        airflow.run(found["guarded"].get_task("canary"))
        assert serving.service("recommender").canary.weight == 10
        if how == "by hand":
            airflow.run(found["rollback_by_hand"].get_task("rollback"))
        else:
            notifier = found["guarded"].on_failure_callback
            notifier.hook_class = airflow.hook_class
            notifier(airflow.context)
            serving.advance(30)  # it does not wait for what comes of it
        assert serving.service("recommender").canary is None


def test_a_wait_sees_the_service_and_its_version(dags, airflow, serving):
    """Both sensors are content with what serves."""
    dag = dags("airflow_wait")["after_the_rollout"]

    assert airflow.run(dag.get_task("up"))["state"] == "RUNNING"
    assert airflow.run(dag.get_task("this_one"))["primary_version"]["name"] == "v1"


def test_an_order_is_put_into_the_mailbox(dags, airflow, monkeypatch):
    """As the form says."""
    from types import SimpleNamespace

    kept: dict[str, str] = {}
    fake = SimpleNamespace(get=kept.get, set=kept.__setitem__)
    monkeypatch.setattr("airflow_provider.orders.Variable", fake)
    airflow.more["params"] = {"order": "pause", "reason": "big game tonight"}
    given = airflow.run(dags("airflow_step_in")["step_in"].get_task("order"))

    assert (given["kind"], given["reason"]) == ("pause", "big game tonight")
    assert list(kept) == ["anyservice_orders__anyservice_default__recommender"]


def test_a_service_is_put_away(dags, airflow, serving):
    """Stopped, hidden and removed; a second run finds nothing to do but to stop it."""
    dag = dags("airflow_retire")["retire"]
    airflow.more["params"] = {"service": "recommender"}
    results = [airflow.run(dag.get_task(name)) for name in ("stop", "hide", "remove")]

    assert results[0]["state"] == "TERMINATED"
    assert (results[1]["archived"], results[2]["deleted"]) == (True, True)
    assert airflow.run(dag.get_task("remove"))["deleted"] is False


class Answering:
    """A service that answers every request with one status, and remembers what it was asked."""

    def __init__(self, status):
        self.status, self.asked = status, []

    def get(self, url, headers, timeout):
        import httpx

        self.asked.append((url, headers))
        return httpx.Response(self.status)


@pytest.fixture(params=[200, 500])
def answering(request, monkeypatch):
    service = Answering(request.param)
    monkeypatch.setattr("httpx.get", service.get)
    return service


def test_a_check_asks_the_canary(dags, airflow, serving, answering):
    """By the header that names it; a bad answer fails the task with its words."""
    dag = dags("airflow_check")["recommender_checked"]
    canary = airflow.run(dag.get_task("canary"))["canary_version"]["name"]
    if answering.status == 200:
        assert airflow.run(dag.get_task("answers"))["canary_version"]["name"] == canary
    else:
        with pytest.raises(AirflowFailException, match="it answers 500"):
            airflow.run(dag.get_task("answers"))
    assert [headers["X-Anyservice-Version"] for _, headers in answering.asked] == [canary]
