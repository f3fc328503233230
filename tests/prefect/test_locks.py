"""One rollout of a service at a time, and who has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prefect import flow, get_client
from prefect.exceptions import ObjectNotFound

from anyservice_core import ConflictError, RolloutPlan, ServiceConfig
from anyservice_core.rollout import Journal
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, aio, locks, progressive_deploy
from prefect_tasks.memory import Memory
from prefect_tasks.naming import journal_key, lock_name

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]

HOST = "http://plane.test"
APPLY = "PUT /api/v2/services-v2/apply"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 2.0)
    monkeypatch.setattr(locks, "LOOK_EVERY_S", 0.5)


@flow(name="holder", flow_run_name="the one that holds it")
def held(service: str, try_it: Callable[[], object]) -> None:
    """Another rollout of the service, in the midst of which something is tried."""
    memory = journal_key(service, HOST)
    with locks.only_one(service, lock_name(service, HOST), memory):
        Memory(memory).keep(Journal(rollout_key="another", version_name="v9"))
        try_it()


def test_a_second_rollout_says_who_has_the_service_and_sends_nothing(
    service: str,
    config: Callable[[str], ServiceConfig],
    plan: RolloutPlan,
    plane: FakePlane,
    credentials: AnyserviceCredentials,
) -> None:
    """It waits for a while, fails with the name and state of the other run, and has deployed nothing."""
    sent = plane.requests.count(APPLY)

    def race() -> None:
        state = progressive_deploy(config("v2"), plan, credentials, return_state=True)
        assert state.is_failed()
        assert "'the one that holds it'" in str(state.message)
        assert "Running" in str(state.message)

    held(service, race)
    assert plane.requests.count(APPLY) == sent


def test_the_lock_is_free_again_after_an_end_of_any_kind(
    service: str,
    config: Callable[[str], ServiceConfig],
    plan: RolloutPlan,
    plane: FakePlane,
    credentials: AnyserviceCredentials,
) -> None:
    """A rollout that failed leaves no lock behind."""
    plane.send_traffic(200)

    def fail() -> None:
        raise ValueError("in the midst of it")

    with pytest.raises(ValueError, match="midst"):
        held(service, fail)
    assert progressive_deploy(config("v2"), plan, credentials, return_state=True).is_completed()


def test_what_cannot_be_rolled_out_leaves_no_limit_behind(
    plan: RolloutPlan, credentials: AnyserviceCredentials
) -> None:
    """A typo in a path makes nothing in Prefect that somebody would have to clear away."""
    state = progressive_deploy("nowhere/service.yaml", plan, credentials, return_state=True)
    assert state.is_failed()
    with get_client(sync_client=True) as client, pytest.raises(ObjectNotFound):
        client.read_global_concurrency_limit_by_name(lock_name("nowhere/service.yaml", HOST))


def test_two_services_do_not_wait_for_each_other(service: str) -> None:
    """The lock is a service's own, and a control plane's."""
    other = lock_name(f"{service}-b", HOST)
    assert len({other, lock_name(service, HOST), lock_name(service, "http://elsewhere")}) == 3

    def too() -> None:
        with locks.only_one("b", other, "nobody"):
            return

    held(service, too)


@pytest.mark.anyio
async def test_asynchronous_rollouts_take_the_same_lock(
    service: str,
    config: Callable[[str], ServiceConfig],
    plan: RolloutPlan,
    credentials: AnyserviceCredentials,
) -> None:
    """Both colours keep each other out."""
    async with locks.aonly_one(service, lock_name(service, HOST), "nobody"):
        with pytest.raises(ConflictError, match="another rollout"):
            await aio.rollout(config("v2"), plan, credentials=credentials)


def test_the_limit_is_made_on_demand_and_lets_one_in(service: str) -> None:
    """Nobody has to set up anything in Prefect."""
    with (
        locks.only_one(service, lock_name(service, HOST), "nobody"),
        get_client(sync_client=True) as client,
    ):
        limit = client.read_global_concurrency_limit_by_name(lock_name(service, HOST))
    assert (limit.limit, limit.active_slots) == (1, 1)
