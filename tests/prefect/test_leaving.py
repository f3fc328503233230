"""What becomes of a canary when its run ends before its time: left as it is, or taken back, by choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling
from prefect.transactions import transaction

from anyservice_core import RolloutPlan, ServiceConfig
from anyservice_core.rollout import Journal
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, aio, deploy, progressive_deploy
from prefect_tasks.leaving import leave_or_take_back
from prefect_tasks.memory import Memory
from prefect_tasks.naming import journal_key

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]


def canary_of(plane: FakePlane, service: str) -> str | None:
    with plane.client() as client:
        canary = client.status(service).canary_version
    return canary.name if canary else None


@pytest.fixture
def remembered(
    config: Callable[[str], ServiceConfig],
    plane: FakePlane,
    credentials: AnyserviceCredentials,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., FlowRun]:
    """A run that had brought the canary v2 when it ended. A runner finds its credentials by a name."""
    monkeypatch.setattr(AnyserviceCredentials, "given", lambda value: credentials)
    with plane.client() as client:
        client.deploy(config("v2"), canary_percent=10)
        client.wait(config("v2").name, canary_weight=10)
        host = client.settings.host

    @flow
    def remember(version: str) -> None:
        Memory(journal_key(str(config("v2").name), host)).keep(Journal(rollout_key="k", version_name=version))

    def run(on_kill: str, version: str = "v2") -> FlowRun:
        remember(version)
        parameters = {"config": config("v2").to_dict(), "plan": {"steps": [10]}, "on_kill": on_kill}
        return FlowRun(id=uuid4(), flow_id=uuid4(), name="rollout", parameters=parameters)

    return run


@pytest.mark.parametrize(("on_kill", "left"), [("leave", "v2"), ("rollback", None)])
def test_the_hook_does_what_was_chosen(
    remembered: Callable[..., FlowRun], plane: FakePlane, service: str, on_kill: str, left: str | None
) -> None:
    """Left, the canary keeps its weight; taken back, the primary has all the traffic."""
    leave_or_take_back(progressive_deploy, remembered(on_kill), Cancelling())
    with plane.client() as client:
        client.wait(service, state=["RUNNING", "ROLLING_OUT"])
    assert canary_of(plane, service) == left


def test_a_strangers_canary_is_never_taken_back(
    remembered: Callable[..., FlowRun], plane: FakePlane, service: str
) -> None:
    """Who came later is not to pay for a run that was cancelled."""
    leave_or_take_back(progressive_deploy, remembered("rollback", "v7"), Cancelling())
    assert canary_of(plane, service) == "v2"


def test_taking_back_twice_is_taking_back_once(
    remembered: Callable[..., FlowRun], plane: FakePlane, service: str
) -> None:
    """Two hooks may come for one end."""
    remembered("rollback")
    with plane.client() as client:
        assert "is taken back" in client.take_back(service, version="v2")
        client.wait(service)
        assert "no canary v2" in client.take_back(service, version="v2")
        assert "not there any more" in client.take_back("nobody", version="v2")


# ── transactions ────────────────────────────────────────────────────────────


def test_a_transaction_that_fails_takes_its_canary_back(
    config: Callable[[str], ServiceConfig], credentials: AnyserviceCredentials, plane: FakePlane, service: str
) -> None:
    """What comes after the deploy fails: the canary goes with it."""

    @flow
    def release() -> None:
        with transaction():
            deploy(config("v2"), canary_percent=10, credentials=credentials)
            raise ValueError("the smoke test is red")

    with pytest.raises(ValueError, match="red"):
        release()
    with plane.client() as client:
        client.wait(service)
    assert canary_of(plane, service) is None


def test_a_transaction_that_succeeds_keeps_it(
    config: Callable[[str], ServiceConfig], credentials: AnyserviceCredentials, plane: FakePlane, service: str
) -> None:
    """Nothing is taken back when all went well."""

    @flow
    def release() -> None:
        with transaction():
            deploy(config("v2"), canary_percent=10, credentials=credentials)

    release()
    assert canary_of(plane, service) == "v2"


@pytest.mark.anyio
async def test_an_awaited_deploy_is_taken_back_as_well(
    config: Callable[[str], ServiceConfig], credentials: AnyserviceCredentials, plane: FakePlane, service: str
) -> None:
    """The asynchronous task has the same hook."""

    @flow
    async def release() -> None:
        with transaction():
            await aio.deploy(config("v2"), canary_percent=10, credentials=credentials)
            raise ValueError("the smoke test is red")

    with pytest.raises(ValueError, match="red"):
        await release()
    async with plane.async_client() as client:
        await client.wait(service)
    assert canary_of(plane, service) is None


def test_hooks_hear_of_cancellation_and_crash() -> None:
    """Prefect calls them by the names of their parameters."""
    assert (
        progressive_deploy.on_cancellation_hooks
        == progressive_deploy.on_crashed_hooks
        == [leave_or_take_back]
    )
    names: Any = leave_or_take_back.__code__.co_varnames[:3]
    assert names == ("flow", "flow_run", "state")


def test_a_plan_of_any_form_has_no_say_in_it(plan: RolloutPlan) -> None:
    """Parameters are checked: a choice that is none is refused before anything is deployed."""
    with pytest.raises(Exception, match="on_kill"):
        progressive_deploy.validate_parameters({"config": "a.yaml", "plan": plan, "on_kill": "perhaps"})
