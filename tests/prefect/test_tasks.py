"""The tasks on a plane in memory, with Prefect's engine around them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.serializers import JSONSerializer

from anyservice_core import NotFoundError, ServiceConfig, ServiceState, TransportError
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, aio, tasks
from prefect_tasks.tasks import service_name

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]

LIFE = ["deploy", "wait", "status", "list", "rollback", "terminate", "archive", "delete"]
LOOK_UP = "GET /api/v2/services-v2/"


def runs_of(flow_run_id: Any) -> list[str]:
    with get_client(sync_client=True) as client:
        body = {"flow_runs": {"id": {"any_": [str(flow_run_id)]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return [run["name"] for run in client.request("POST", "/task_runs/filter", json=body).json()]


@flow
def sync_life(config: Any, credentials: Any) -> list[Any]:
    keep, name = {"credentials": credentials}, config.name
    results: list[Any] = [
        tasks.deploy(config, canary_percent=10, **keep),
        tasks.wait(name, version="v2", canary_weight=10, **keep),
        tasks.status(name, **keep),
        tasks.list(name=name[:-1], **keep),
        tasks.rollback(name, **keep),
    ]
    tasks.wait(name, **keep)
    results.append(tasks.terminate(name, **keep))
    tasks.wait(name, state="TERMINATED", **keep)
    return [*results, tasks.archive(name, **keep), tasks.delete(name, **keep)]


@flow
async def async_life(config: Any, credentials: Any) -> list[Any]:
    keep, name = {"credentials": credentials}, config.name
    results: list[Any] = [
        await aio.deploy(config, canary_percent=10, **keep),
        await aio.wait(name, version="v2", canary_weight=10, **keep),
        await aio.status(name, **keep),
        await aio.list(name=name[:-1], **keep),
        await aio.rollback(name, **keep),
    ]
    await aio.wait(name, **keep)
    results.append(await aio.terminate(name, **keep))
    await aio.wait(name, state="TERMINATED", **keep)
    return [*results, await aio.archive(name, **keep), await aio.delete(name, **keep)]


@pytest.mark.anyio
@pytest.mark.parametrize("life", [sync_life, async_life], ids=["sync", "async"])
async def test_a_whole_life(
    service: str, life: Any, config: Callable[..., ServiceConfig], credentials: AnyserviceCredentials
) -> None:
    """All operations work in both colours, and what they give can be written as JSON."""
    outcome = life(config("v2"), credentials)
    deployed, waited, seen, listed, *ids = outcome if isinstance(outcome, list) else await outcome
    assert deployed.version_name == "v2"
    assert (waited.canary_version.weight, seen.state) == (10, ServiceState.ROLLING_OUT)
    assert [one.name for one in listed] == [service]
    assert ids == [deployed] * 4
    for result in (deployed, waited, seen, listed, *ids):
        json.loads(JSONSerializer().dumps(result))


def test_runs_are_named_after_what_they_do(
    service: str, config: Callable[..., ServiceConfig], credentials: AnyserviceCredentials
) -> None:
    """A run's name says the verb, the service and the weight."""

    @flow
    def release() -> None:
        tasks.deploy(config("v2"), canary_percent=10, credentials=credentials)
        tasks.wait(service, version="v2", canary_weight=10, credentials=credentials)
        tasks.status(service, credentials=credentials)

    state = release(return_state=True)
    names = {f"deploy {service} @10%", f"wait {service} @10%", f"status {service}"}
    deadline = (
        time.monotonic() + 30
    )  # the server writes runs down after their events, a name some time after its run
    while set(found := runs_of(state.state_details.flow_run_id)) != names:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_task_is_tried_again_when_no_answer_came(
    service: str, plane: FakePlane, credentials: AnyserviceCredentials
) -> None:
    """A control plane that is away for longer than the core bears with costs a retry, not the run."""
    for _ in range(5):
        plane.drop_answer(LOOK_UP)
    status = tasks.status.with_options(retry_delay_seconds=0)
    assert status(service, credentials=credentials).state is ServiceState.RUNNING


def test_a_deploy_is_not_tried_again(
    service: str, plane: FakePlane, config: Callable[..., ServiceConfig], credentials: AnyserviceCredentials
) -> None:
    """Where even the core gave up, a deploy fails and is left to a person or to the next rollout."""
    for _ in range(5):
        plane.drop_answer(LOOK_UP)
    with pytest.raises(TransportError):
        tasks.deploy(config("v2"), canary_percent=10, credentials=credentials)
    assert not any(request.startswith("PUT") for request in plane.requests[-5:])
    assert tasks.status(service, credentials=credentials).canary_version is None


def test_a_lost_answer_does_not_deploy_twice(
    service: str, plane: FakePlane, config: Callable[..., ServiceConfig], credentials: AnyserviceCredentials
) -> None:
    """After a deploy that arrived although its answer did not, there is one new version."""
    plane.drop_answer("PUT /api/v2/services-v2/apply")
    deployed = tasks.deploy(config("v2"), canary_percent=10, credentials=credentials)
    assert [version.name for version in plane.service(service).versions] == ["v1", "v2"]
    assert deployed.version_id == plane.version_id("v2")


def test_what_cannot_work_fails_at_once(
    service: str, plane: FakePlane, credentials: AnyserviceCredentials
) -> None:
    """A service that is not there is looked for once, although reads may be repeated."""
    before = len(plane.requests)
    with pytest.raises(NotFoundError, match="nobody"):
        tasks.status("nobody", credentials=credentials)
    assert len(plane.requests) == before + 1


def test_a_task_works_as_a_plain_function(service: str, credentials: AnyserviceCredentials) -> None:
    """Without Prefect's engine there is no run to log to, and the call works all the same."""
    assert tasks.status.fn(service, credentials=credentials).name == service


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"name": "shop", "applications": [{"import_path": "main:app"}]}, "shop"),
        ({"name": "shop"}, "service"),
        ("missing.yaml", "missing.yaml"),
        (None, "service"),
    ],
)
def test_a_run_has_a_name_whatever_it_is_given(given: object, shown: str) -> None:
    """Naming a run never fails: bad input is for the call itself to refuse."""
    assert service_name(given) == shown
