"""A whole Prefect and a whole plane: what starts rollouts, what they start, and what people get wrong."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.plane import control
from tests.prefect.server import EXAMPLES, House, until

pytestmark = [pytest.mark.prefect_e2e, pytest.mark.real, pytest.mark.timeout(600)]

PLAN = "{steps: [50], bake: 1s}"
SERVED = """
import sys
from prefect_tasks import progressive_deploy
progressive_deploy.serve(name="minutely", cron="* * * * *", parameters={"config": sys.argv[1], "plan": sys.argv[2]})
"""
DEPLOYED = """
from prefect.deployments.runner import EntrypointType
from prefect_tasks import progressive_deploy
progressive_deploy.deploy(name="deployed", work_pool_name="services", entrypoint_type=EntrypointType.MODULE_PATH)
"""
TRAINING = """
from prefect import flow
from prefect.events import emit_event

@flow
def train(config: str):
    emit_event("model.ready", resource={"prefect.resource.id": "model.any"}, payload={"config": config})

if __name__ == "__main__":
    train.serve(name="training")
"""
SAVE = """
import sys
from prefect_tasks import AnyserviceCredentials
AnyserviceCredentials(host=sys.argv[1], token=sys.stdin.read()).save(sys.argv[2], overwrite=True)
"""


# ── what starts a rollout ───────────────────────────────────────────────────


def deployed(house: House, name: str) -> Any:
    found = house.post("deployments/filter", {"deployments": {"name": {"any_": [name]}}})
    return found[0] if found else None


def runs_of(house: House, deployment: str) -> list[Any]:
    body = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return list(house.post("flow_runs/filter", body))


def paged(house: House) -> list[str]:
    """What the flow that stands for a pager has printed."""
    return [line for run in runs_of(house, "pager") for line in house.lines(run["id"])]


def test_the_deployments_file_is_taken_as_it_stands(house: House) -> None:
    """`prefect deploy --all` made both deployments, with schedule, description and the form of their parameters."""
    nightly = deployed(house, "nightly")
    assert nightly["schedules"][0]["schedule"]["timezone"] == "Europe/London"
    assert "step by step" in nightly["description"]
    form = nightly["parameter_openapi_schema"]["properties"]
    assert {"config", "plan", "credentials", "force", "gates", "on_kill"} == set(form)
    assert all(field.get("description") for field in form.values()), form
    assert deployed(house, "with-approval")["parameters"]["gates"] == "suspend"


def test_a_served_schedule_rolls_out_by_itself(house: House) -> None:
    """Nobody starts it: the minute does."""
    version = house.serve("minutely", PLAN)
    house.spawn("minutely", sys.executable, "-c", SERVED, version.config, version.plan)
    try:
        run = until(lambda: runs_of(house, "minutely"), "a run by the schedule")[0]["id"]
        assert house.ended(run)[0] == "Completed", house.lines(run)
    finally:
        house.end("minutely")
    assert house.deploys("minutely") == 2


def test_a_deployment_from_code_is_run_by_the_worker(house: House) -> None:
    """`.deploy(...)` needs no image and no repository: the worker has the flow installed."""
    house.run(sys.executable, "-c", DEPLOYED)
    run = house.start_run(house.serve("deployed", PLAN), "deployed")
    assert house.ended(run)[0] == "Completed", house.lines(run)


@pytest.fixture
def pager() -> Iterator[tuple[str, list[Any]]]:
    """The address of a pager, and what it was told."""
    told: list[Any] = []

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Pager) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page", told
        server.shutdown()


def test_an_event_of_a_training_starts_a_rollout_and_its_failure_pages(
    house: House, pager: tuple[str, list[Any]]
) -> None:
    """Another deployment says that a model is ready; the bad model is taken back, a flow and a webhook are told."""
    url, told = pager
    version = house.serve("eventful", "{steps: [50], bake: 1s, progress_deadline: 40s}", broken=True)
    (house.folder / "training.py").write_text(TRAINING)
    house.run(sys.executable, str(EXAMPLES / "page_on_rollback.py"), env={"PAGER_URL": url})
    house.run(sys.executable, str(EXAMPLES / "page_on_rollback.py"), env={"PAGER_URL": url})
    house.spawn("on_event", sys.executable, str(EXAMPLES / "on_event_flow.py"), version.plan)
    house.spawn("training", sys.executable, "training.py")
    try:
        until(lambda: deployed(house, "pager") and deployed(house, "training"), "the deployments")
        house.start_deployed("train", "training", {"config": version.config})
        run = until(lambda: runs_of(house, "on-event"), "the rollout")[0]["id"]
        assert house.ended(run)[0] == "Failed"
        until(lambda: "PAGE eventful: " in "\n".join(paged(house)), "the page")
    finally:
        house.end("training")
        house.end("on_event")
    texts = until(lambda: [one["text"] for one in told if "eventful" in one["text"]], "the webhook")
    assert len(texts) == 1
    assert "rolled back" in texts[0]
    assert url not in json.dumps(house.post("block_documents/filter", {}))


# ── what people get wrong ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"plan": {"stepz": [5]}}, "stepz"),
        ({"plan": {"steps": [50, 10]}}, "increase"),
        ({"on_kill": "rolback"}, "rolback"),
    ],
)
def test_a_form_filled_in_wrongly_starts_nothing(
    house: House, tmp_path: Path, parameters: dict[str, Any], says: str
) -> None:
    """What the form cannot refuse, the run does before anything is deployed; either says which word is wrong."""
    name = f"typo-{says}"
    version = house.serve(name, PLAN)
    try:
        said = str(house.ended(house.start_run(version, **parameters)))
    except AssertionError as refused:
        said = str(refused)
    assert says in said
    assert house.deploys(name) == 1


def test_a_worker_without_the_block_says_how_to_save_it(house: House) -> None:
    """The name of a block that was never saved is in the message, and the line that saves it."""
    run = house.start_run(house.serve("blockless", PLAN), credentials="nowhere")
    name, said = house.ended(run)
    assert name == "Failed"
    assert "no block is saved as 'nowhere'" in said
    assert "AnyserviceCredentials(...).save('nowhere')" in said


def test_a_wrong_token_is_told_and_never_shown(house: House) -> None:
    """The run says that the control plane refused it; the token is in no log, no state and no parameter."""
    secret = "aph0_of_somebody_else"
    host = (control.read_record(house.state) or {})["host"]
    house.run(sys.executable, "-c", SAVE, host, "wrong", given=secret)
    run = house.start_run(house.serve("refused-token", PLAN), credentials="wrong")
    name, said = house.ended(run)
    assert name == "Failed"
    assert "token" in said
    everything = json.dumps([house.lines(run), house.get(f"flow_runs/{run}"), house.artifacts(run)])
    assert secret not in everything + house.log("worker")
