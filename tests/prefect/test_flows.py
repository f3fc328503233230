"""The ready-made flow on a plane in memory: what it does, what its page shows, how it is deployed."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ParameterTypeError, PrefectHTTPStatusError
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL
from pydantic import PrivateAttr, SecretStr

from anyservice_core import Client, RolledBackError, RolloutPlan, RolloutReport, ServiceConfig
from anyservice_core.operations.sending import ATTEMPTS
from anyservice_core.rollout import Event, Kind
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, aio, flows, progressive_deploy, tasks
from prefect_tasks.naming import lock_name

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]

APPLY = "PUT /api/v2/services-v2/apply"


def run_id(state: State[Any]) -> str:
    return str(state.state_details.flow_run_id)


def artifacts(flow_run_id: str) -> dict[str, list[Any]]:
    """What a run shows: the contents of its artifacts by what they are about, oldest first."""
    body = {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}}}
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/filter", json=body).json()
    shown: dict[str, list[Any]] = {}
    for artifact in sorted(found, key=lambda one: one["created"]):
        shown.setdefault(artifact["key"].split("-", 3)[3], []).append(artifact["data"])
    return shown


@pytest.fixture
def good(config: Callable[..., ServiceConfig], plane: FakePlane) -> ServiceConfig:
    """A version that serves well, under traffic."""
    plane.send_traffic(200)
    return config("v2")


@pytest.fixture
def bad(
    config: Callable[..., ServiceConfig], plane: FakePlane, rolled_name: Callable[[ServiceConfig], str]
) -> ServiceConfig:
    """A version that fails on three of ten requests, under traffic."""
    version = config("v3")
    plane.send_traffic(200, errors={rolled_name(version): 0.3})
    return version


def test_a_good_version_is_promoted(
    service: str, good: ServiceConfig, plan: RolloutPlan, credentials: AnyserviceCredentials, plane: FakePlane
) -> None:
    """The run completes with the report, and the version has all the traffic."""
    state = progressive_deploy(good, plan, credentials, return_state=True)
    report = state.result()
    assert state.is_completed()
    assert (report.outcome, [step.weight for step in report.steps]) == ("succeeded", [10, 50])
    with plane.client() as client:
        primary = client.status(service).primary_version
    assert primary is not None
    assert (primary.name, primary.weight) == (report.version_name, 100)


def test_the_page_shows_a_promotion(
    service: str, good: ServiceConfig, plan: RolloutPlan, credentials: AnyserviceCredentials
) -> None:
    """One bar at 100, a table with the numbers of each step, a report and a link, all attached to the run."""
    state = progressive_deploy(good, plan, credentials, return_state=True)
    shown = artifacts(run_id(state))
    assert shown["weight"] == [100]
    (table,) = shown["verdicts"]
    assert {row["weight"] for row in json.loads(table)} == {"10 %", "50 %"}
    assert '"canary_requests"' in table
    assert f"{service}: succeeded" in shown["report"][0]
    assert "/services/service2_" in shown["service"][0]


def test_a_bad_version_is_taken_back_and_the_run_fails_with_the_reason(
    service: str, bad: ServiceConfig, plan: RolloutPlan, credentials: AnyserviceCredentials, plane: FakePlane
) -> None:
    """The run is FAILED and says the numbers, the caller gets the error, and the old version serves on."""
    state = progressive_deploy(bad, plan, credentials, return_state=True)
    assert state.is_failed()
    assert "rolled back: errors: canary 60 bad of 200 (30 %)" in str(state.message)
    with pytest.raises(RolledBackError) as caught:
        state.result()
    assert RolloutReport.model_validate(caught.value.report).outcome == "rolled_back"
    shown = artifacts(run_id(state))
    assert shown["weight"] == [0]
    assert "rolled back" in shown["report"][0]
    with plane.client() as client:
        status = client.status(service)
    assert status.canary_version is None
    assert status.primary_version is not None
    assert status.primary_version.name == "v1"


def test_calling_the_flow_raises_the_core_error(
    bad: ServiceConfig,
    plan: RolloutPlan,
    credentials: AnyserviceCredentials,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A script sees RolledBackError itself, and the log holds its reason without a traceback."""
    with pytest.raises(RolledBackError, match="times the primary.s rate"):
        progressive_deploy(bad, plan, credentials)
    assert "times the primary's rate" in caplog.text
    assert "Traceback" not in caplog.text


def test_every_event_is_a_line_in_the_log(
    good: ServiceConfig,
    plan: RolloutPlan,
    credentials: AnyserviceCredentials,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What happens is told in the run's log as it happens."""
    with caplog.at_level(logging.INFO, logger="prefect.task_runs"):
        progressive_deploy(good, plan, credentials)
    lines = [record.getMessage() for record in caplog.records if record.name == "prefect.task_runs"]
    expected = ["weight 10 % seen", "asking for 50 %", "weight 50 % seen", "promoting", "succeeded"]
    assert [word for word in expected if any(word in line for line in lines)] == expected


@pytest.mark.anyio
async def test_the_rollout_task_can_be_awaited(
    good: ServiceConfig, plan: RolloutPlan, credentials: AnyserviceCredentials
) -> None:
    """An asynchronous flow rolls out by the same task, with the same artifacts."""

    @flow
    async def release() -> RolloutReport:
        return await aio.rollout(good, plan, credentials=credentials)

    state = await release(return_state=True)
    assert (await state.aresult()).outcome == "succeeded"
    shown = {about: len(found) for about, found in artifacts(run_id(state)).items()}
    assert {"weight": 1, "verdicts": 1, "report": 1, "service": 1}.items() <= shown.items()


# ── cut short ───────────────────────────────────────────────────────────────


class InterruptedCredentials(AnyserviceCredentials):
    """Gives a client that is interrupted as soon as the canary bakes."""

    _block_type_name = "Anyservice Test Interruption"
    _block_type_slug = "anyservice-test-interruption"
    _plane: FakePlane = PrivateAttr()

    def get_client(self, **options: Any) -> Client:
        tell = options.pop("on_report")

        def interrupt(event: Any) -> None:
            tell(event)
            if isinstance(event, Event) and event.kind is Kind.BAKING:
                raise KeyboardInterrupt

        return self._plane.client(on_report=interrupt, **options)


@pytest.fixture
def interrupted(plane: FakePlane) -> InterruptedCredentials:
    credentials = InterruptedCredentials()
    credentials._plane = plane
    return credentials


def test_a_run_that_is_ended_leaves_the_service_as_it_is(
    good: ServiceConfig,
    plan: RolloutPlan,
    plane: FakePlane,
    interrupted: InterruptedCredentials,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The canary stays at its weight, and the log says how to go on."""
    with pytest.raises(KeyboardInterrupt):
        progressive_deploy(good, plan, interrupted)
    with plane.client() as client:
        canary = client.status(str(good.name)).canary_version
    assert canary is not None
    assert canary.weight == 10
    assert "Run the same rollout again" in caplog.text


def test_the_next_run_goes_on_from_there(
    good: ServiceConfig,
    plan: RolloutPlan,
    plane: FakePlane,
    interrupted: InterruptedCredentials,
    credentials: AnyserviceCredentials,
) -> None:
    """The second run finds the canary: in all there is one deploy, one shift and one promotion."""
    sent = plane.requests.count(APPLY)
    with pytest.raises(KeyboardInterrupt):
        progressive_deploy(good, plan, interrupted)
    assert progressive_deploy(good, plan, credentials).outcome == "succeeded"
    assert plane.requests.count(APPLY) == sent + 3


def test_a_version_that_was_taken_back_is_not_tried_again(
    bad: ServiceConfig, plan: RolloutPlan, plane: FakePlane, credentials: AnyserviceCredentials
) -> None:
    """On a schedule the same bad build would come back every night; only ``force`` tries it again."""
    assert progressive_deploy(bad, plan, credentials, return_state=True).is_failed()
    sent = plane.requests.count(APPLY)
    again = progressive_deploy(bad, plan, credentials, return_state=True)
    assert "taken back before" in str(again.message)
    assert plane.requests.count(APPLY) == sent
    progressive_deploy(bad, plan, credentials, force=True, return_state=True)
    assert plane.requests.count(APPLY) > sent


@pytest.mark.anyio
async def test_awaited_rollouts_remember_too(
    bad: ServiceConfig, plan: RolloutPlan, plane: FakePlane, credentials: AnyserviceCredentials
) -> None:
    """What one run learned is known to the next in the other colour."""
    with pytest.raises(RolledBackError, match="times the primary.s rate"):
        await aio.rollout(bad, plan, credentials=credentials)
    with pytest.raises(RolledBackError, match="taken back before"):
        tasks.rollout(bad, plan, credentials=credentials)


@pytest.mark.usefixtures("prefect_server")
def test_a_process_that_is_told_to_end_leaves_its_report() -> None:
    """On SIGTERM in mid-bake a last report says how far the rollout came, and the run is not a success."""
    script = Path(__file__).with_name("ended_by_signal.py")
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    ended = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    flow_run_id = ended.stdout.strip()
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(flow_run_id)).state
    assert state is not None
    assert not state.is_completed()
    (report,) = artifacts(flow_run_id)["report"]
    assert "stopped at 10 %" in report


# ── a control plane that is away ────────────────────────────────────────────


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the flow's retries follow each other at once."""
    monkeypatch.setattr(flows, "rollout", tasks.rollout.with_options(retry_delay_seconds=0))


@pytest.fixture
def packed(good: ServiceConfig, tmp_path: Path) -> ServiceConfig:
    """A version with a folder, for which a rollout asks the control plane before it takes its first look."""
    (tmp_path / "main.py").write_text("app = None\n")
    return good.options(working_dir=str(tmp_path))


def lose(plane: FakePlane, tries: int) -> None:
    """Let that first question fail in as many tries of the task, in each of which the core asks five times."""
    for _ in range(ATTEMPTS * tries):
        plane.lose_request("GET /ext/v0/clouds/default")


@pytest.mark.usefixtures("hasty")
def test_a_control_plane_that_is_away_at_the_start_is_waited_for(
    packed: ServiceConfig, plan: RolloutPlan, credentials: AnyserviceCredentials, plane: FakePlane
) -> None:
    """Five times the task is tried again, and the rollout begins when there is an answer."""
    lose(plane, 5)
    assert progressive_deploy(packed, plan, credentials, return_state=True).is_completed()


@pytest.mark.usefixtures("hasty")
def test_a_control_plane_that_stays_away_fails_the_run_with_the_way_on(
    service: str,
    packed: ServiceConfig,
    plan: RolloutPlan,
    credentials: AnyserviceCredentials,
    plane: FakePlane,
) -> None:
    """It says what was asked and where, and what to do; nothing was sent, and the slot is free for the next run."""
    lose(plane, 6)
    state = progressive_deploy(packed, plan, credentials, return_state=True)
    assert state.is_failed()
    assert "Is http://plane.test the control plane that is meant" in str(state.message)
    assert "run this again when the control plane answers" in str(state.message)
    assert len(plane.service(service).versions) == 1
    with get_client(sync_client=True) as client:
        limit = client.read_global_concurrency_limit_by_name(lock_name(service, "http://plane.test"))
    assert limit.active_slots == 0
    assert progressive_deploy(packed, plan, credentials, return_state=True).is_completed()


# ── what it takes ───────────────────────────────────────────────────────────


def test_files_are_read_and_what_is_wrong_with_them_fails_the_run(
    tmp_path: Path, plan: RolloutPlan, credentials: AnyserviceCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is not there is named in the run's state, without a traceback."""
    missing = tmp_path / "service.yaml"
    state = progressive_deploy(missing, plan, credentials, return_state=True)
    assert state.is_failed()
    assert str(missing) in str(state.message)
    assert "Traceback" not in caplog.text


def test_paths_roll_out_like_models(
    service: str, tmp_path: Path, credentials: AnyserviceCredentials, plane: FakePlane
) -> None:
    """Config and plan may be paths of YAML files."""
    plane.send_traffic(200)
    (tmp_path / "service.yaml").write_text(
        f"{{name: {service}, applications: [{{import_path: 'main:app'}}]}}"
    )
    (tmp_path / "rollout.yaml").write_text("rollout: {steps: [20], bake: 10s}")
    report = progressive_deploy(tmp_path / "service.yaml", str(tmp_path / "rollout.yaml"), credentials)
    assert report.outcome == "succeeded"


def test_a_form_is_checked_before_anything_runs() -> None:
    """Fields given as plain values become models, and what cannot work is refused by name."""
    fields = {"name": "recommender", "applications": [{"import_path": "main:app"}]}
    taken = progressive_deploy.validate_parameters(
        {"config": fields, "plan": {"steps": [5, 25], "bake": "15m"}}
    )
    assert isinstance(taken["config"], ServiceConfig)
    assert taken["plan"].weights == (5, 25)
    with pytest.raises(ParameterTypeError, match="weights must strictly increase"):
        progressive_deploy.validate_parameters({"config": fields, "plan": {"steps": [25, 5]}})


def test_credentials_may_be_a_reference_a_name_or_nothing() -> None:
    """A deployment's parameters never hold the token itself: they name a saved block."""
    AnyserviceCredentials(project="shop").save("team", overwrite=True)
    paths = {"config": "service.yaml", "plan": "rollout.yaml"}
    reference = {"$ref": {"block_document_slug": "anyservice-credentials/team"}}
    taken = progressive_deploy.validate_parameters({**paths, "credentials": reference})["credentials"]
    assert (type(taken), taken.project) == (AnyserviceCredentials, "shop")
    assert progressive_deploy.validate_parameters({**paths, "credentials": "team"})["credentials"] == "team"
    assert progressive_deploy.validate_parameters(paths)["config"] == "service.yaml"


def test_a_token_goes_nowhere(
    good: ServiceConfig,
    plan: RolloutPlan,
    credentials: AnyserviceCredentials,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A block that was never saved leaves no token in the run's parameters, artifacts or log."""
    credentials.token = SecretStr("aph0_secret")
    state = progressive_deploy(good, plan, credentials, return_state=True)
    with get_client(sync_client=True) as client:
        parameters = client.read_flow_run(UUID(run_id(state))).parameters
    assert parameters["credentials"]["token"] == "**********"
    assert "aph0" not in f"{parameters}{artifacts(run_id(state))}{caplog.text}"


def test_a_name_without_a_block_fails_the_run(good: ServiceConfig, plan: RolloutPlan) -> None:
    """Credentials that are not there are said so in the run's state."""
    state = progressive_deploy(good, plan, "nowhere", return_state=True)
    assert "no block is saved as 'nowhere'" in str(state.message)


def test_it_can_be_put_on_a_schedule() -> None:
    """A deployment takes schedule and parameters, and the server checks a run's parameters by the same schema."""
    plan = {
        "steps": [5, {"weight": 25, "bake": "1h"}],
        "bake": "15m",
        "promotion": True,
    }  # the short forms too
    parameters = {"config": "service.yaml", "plan": plan, "credentials": "team"}
    deployment: Any = progressive_deploy.to_deployment(
        name="nightly", cron="0 9 * * mon-thu", parameters=parameters
    )
    made = deployment.apply()
    with get_client(sync_client=True) as client:
        known: Any = client.read_deployment(made)
        run = client.create_flow_run_from_deployment(made, parameters={"force": True})
        with pytest.raises(PrefectHTTPStatusError, match="409|422"):
            client.create_flow_run_from_deployment(made, parameters={"plan": {"steps": [{"weight": "many"}]}})
    assert known.schedules[0].schedule.cron == "0 9 * * mon-thu"
    assert set(known.parameter_openapi_schema["properties"]) == {
        *("config", "plan", "credentials", "force", "gates", "on_kill")
    }
    assert load_flow_from_entrypoint(known.entrypoint).name == "progressive-deploy"
    assert run.parameters == {**parameters, "force": True}
