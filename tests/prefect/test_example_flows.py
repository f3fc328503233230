"""The examples of Prefect that a plane in memory is enough for: their flows run, their deployments are taken."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prefect import get_client

from anyservice_core import RolloutPlan, ServiceConfig, WaitFailedError
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, progressive_deploy

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]

EXAMPLES = Path(__file__).parents[2] / "dags_examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """The module of an example, as the process that serves it knows it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


@pytest.fixture
def in_this_plane(monkeypatch: pytest.MonkeyPatch, credentials: AnyserviceCredentials) -> None:
    """What an example leaves to the environment is the plane in memory."""
    for name in ("get_client", "get_async_client"):
        monkeypatch.setattr(
            AnyserviceCredentials, name, functools.partialmethod(_of, getattr(credentials, name))
        )


def _of(_block: AnyserviceCredentials, opened: Callable[..., Any], **options: Any) -> Any:
    return opened(**options)


# ── fan-out with a barrier ──────────────────────────────────────────────────


@pytest.fixture
def two(plane: FakePlane, service: str, tmp_path: Path) -> list[str]:
    """Two services that serve v1, and the configs of their next versions."""
    paths: list[str] = []
    with plane.client() as client:
        for name in (service, f"{service}-b"):
            app = [{"import_path": "main:app"}]
            client.deploy(ServiceConfig(name=name, version_name="v1", applications=app), canary_percent=100)
            client.wait(name)
            path = tmp_path / f"{name}.yaml"
            path.write_text(yaml.safe_dump({"name": name, "version_name": f"{name}-v2", "applications": app}))
            paths.append(str(path))
    return paths


def versions(plane: FakePlane, *names: str) -> list[str]:
    with plane.client() as client:
        seen = [client.wait(name) for name in names]
    return [one.primary_version.name if one.primary_version else "" for one in seen]


@pytest.mark.anyio
@pytest.mark.usefixtures("in_this_plane")
async def test_services_are_promoted_together(
    two: list[str], plane: FakePlane, service: str, example: Callable[[str], ModuleType]
) -> None:
    """All canaries are healthy, so all are promoted."""
    await example("fan_out_flow").release_together(two, watched_s=0.0)
    assert versions(plane, service, f"{service}-b") == [f"{service}-v2", f"{service}-b-v2"]


@pytest.mark.anyio
@pytest.mark.usefixtures("in_this_plane")
async def test_or_none_of_them_is(
    two: list[str],
    plane: FakePlane,
    service: str,
    example: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One canary cannot start, so the good one is taken back with it."""
    module = example("fan_out_flow")
    look = module.healthy

    async def broken(*canary: Any) -> None:
        plane.break_version(f"{service}-b-v2", "out of memory")
        await look(*canary)

    monkeypatch.setattr(module, "healthy", broken)
    with pytest.raises(WaitFailedError):
        await module.release_together(two, watched_s=0.0)
    assert versions(plane, service) == ["v1"]


# ── what is served ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("nightly_flow", {"plan": "recommender/rollout.yaml"}),
        ("approval_flow", {"gates": "suspend"}),
        ("cancellation_flow", {"on_kill": "rollback"}),
    ],
)
def test_a_served_example_is_a_deployment_that_the_server_takes(
    name: str,
    parameters: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    example: Callable[[str], ModuleType],
) -> None:
    """Its parameters hold against the schema that the server checks them by."""
    served: list[dict[str, Any]] = []
    monkeypatch.setattr(type(progressive_deploy), "serve", lambda _flow, **how: served.append(how))
    module = example(name)
    if hasattr(module, "main"):
        module.main()
    else:
        exec(compile((EXAMPLES / f"{name}.py").read_text(), name, "exec"), {"__name__": "__main__"})
    (how,) = served
    assert parameters.items() <= how["parameters"].items()
    deployment: Any = progressive_deploy.to_deployment(**how)
    made = deployment.apply()
    with get_client(sync_client=True) as client:
        assert client.create_flow_run_from_deployment(made).parameters.items() >= parameters.items()


def test_the_events_of_the_example_start_its_deployments(
    monkeypatch: pytest.MonkeyPatch, example: Callable[[str], ModuleType]
) -> None:
    """The server takes both deployments with their triggers, as automations of its own."""
    served: list[Any] = []
    module = example("on_event_flow")
    monkeypatch.setattr(module, "serve", lambda *deployments: served.extend(deployments))
    module.main()
    for deployment in served:
        deployment.apply()
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/automations/filter", json={}).json()
    expected = {one["name"]: one["trigger"]["expect"] for one in found}
    assert expected["a model is ready"] == ["model.ready"]
    assert expected["a version was taken back"] == ["anyservice.rollout.rolled-back"]


def test_the_deployments_file_names_flows_and_plans_that_are_there() -> None:
    """Each entry point leads to the flow, and the parameters are ones that it takes."""
    for deployment in yaml.safe_load((EXAMPLES / "prefect.yaml").read_text())["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")
        assert getattr(importlib.import_module(module), name) is progressive_deploy
        taken = progressive_deploy.validate_parameters(deployment["parameters"])
        assert isinstance(taken["plan"], str | RolloutPlan)
