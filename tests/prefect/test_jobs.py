"""The job block: what it holds, what its run gives, and that a second trigger finds the first one's canary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prefect import flow, get_client

from anyservice_core import AnyserviceError, RolledBackError, RolloutPlan, RolloutReport, ServiceConfig
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, ServiceRollout

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240)]

APPLY = "PUT /api/v2/services-v2/apply"


@pytest.fixture
def job(
    config: Callable[[str], ServiceConfig],
    plan: RolloutPlan,
    plane: FakePlane,
    credentials: AnyserviceCredentials,
) -> ServiceRollout:
    plane.send_traffic(200)
    block = ServiceRollout(config=config("v2"), plan=plan)
    block.credentials = credentials  # itself: a copy would have lost its plane
    return block


def test_a_run_is_waited_for_and_gives_its_report(job: ServiceRollout) -> None:
    """Outside of any run of Prefect's, a block rolls out as the client does."""
    run = job.trigger()
    with pytest.raises(AnyserviceError, match="still under way"):
        run.fetch_result()
    run.wait_for_completion()
    assert run.fetch_result().outcome == "succeeded"


@pytest.mark.anyio
async def test_the_same_in_asynchronous_code(job: ServiceRollout) -> None:
    """Each method has its awaited twin."""
    run = await job.atrigger()
    await run.await_for_completion()
    assert (await run.afetch_result()).outcome == "succeeded"


def test_a_bad_version_raises_and_its_report_can_be_fetched(
    job: ServiceRollout, plane: FakePlane, rolled_name: Callable[[ServiceConfig], str]
) -> None:
    """Waiting raises the reason, each time; the report of a failure is a result too."""
    assert isinstance(job.config, ServiceConfig)
    plane.send_traffic(200, errors={rolled_name(job.config): 0.3})
    run = job.trigger()
    for _ in range(2):
        with pytest.raises(RolledBackError, match="times the primary's rate"):
            run.wait_for_completion()
    assert run.fetch_result().outcome == "rolled_back"


def test_a_second_trigger_finds_the_first_ones_canary(job: ServiceRollout, plane: FakePlane) -> None:
    """A process that died after the trigger costs no second deploy."""
    sent = plane.requests.count(APPLY)
    job.trigger()
    run = job.trigger()
    run.wait_for_completion()
    assert run.fetch_result().outcome == "succeeded"
    assert plane.requests.count(APPLY) == sent + 3  # the deploy, a shift, the promotion


@pytest.mark.usefixtures("prefect_server")
def test_within_a_flow_it_shows_what_it_does(job: ServiceRollout, caplog: pytest.LogCaptureFixture) -> None:
    """In a flow the same run has artifacts, and one story of both calls."""

    @flow
    def release() -> RolloutReport:
        run = job.trigger()
        run.wait_for_completion()
        return run.fetch_result()

    state: Any = release(return_state=True)
    assert state.result().outcome == "succeeded"
    body = {"artifacts": {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}}
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/filter", json=body).json()
    keys = [one["key"].rpartition("-")[2] for one in found]
    assert (keys.count("report"), keys.count("weight")) == (1, 1)
    assert "weight 10 % seen" in caplog.text


@pytest.mark.usefixtures("prefect_server")
def test_it_is_saved_loaded_and_shown_without_secrets(plan: RolloutPlan) -> None:
    """A saved block comes back whole, with the block of its credentials; the page shows no token."""
    AnyserviceCredentials(host="http://127.0.0.1:3", token="aph0_secret").save("job-prod", overwrite=True)
    saved = ServiceRollout(
        config="service.yaml", plan=plan, credentials=AnyserviceCredentials.load("job-prod")
    )
    saved.save("nightly", overwrite=True)
    loaded = ServiceRollout.load("nightly")
    assert loaded.plan == plan
    assert loaded.config == "service.yaml"
    assert loaded.credentials.token is not None
    assert loaded.credentials.token.get_secret_value() == "aph0_secret"
    with get_client(sync_client=True) as client:
        shown = client.read_block_document_by_name(
            "nightly", "anyservice-service-rollout", include_secrets=False
        )
    assert "aph0" not in str(shown.data)


@pytest.mark.usefixtures("prefect_server")
def test_a_saved_block_holds_what_was_said(config: Callable[[str], ServiceConfig]) -> None:
    """The form of a saved block shows no field that nobody has filled in, and what is loaded is the same."""
    given = {"steps": [5, 25], "bake": "15m"}
    saved = ServiceRollout(config=config("v2"), plan=RolloutPlan.parse(given))
    saved.save("short", overwrite=True)
    with get_client(sync_client=True) as client:
        shown = client.read_block_document_by_name("short", "anyservice-service-rollout").data
    assert shown["plan"] == {"steps": [{"weight": 5, "bake": 900.0}, {"weight": 25, "bake": 900.0}]}
    assert None not in shown["config"].values()
    loaded = ServiceRollout.load("short")
    assert (loaded.plan, loaded.config) == (saved.plan, saved.config)
