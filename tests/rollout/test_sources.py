"""Whole rollouts that are judged by each kind of source, on a plane whose time is moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import anyio
import httpx
import pytest

from anyservice_core.errors import PlanError, RolledBackError, RolloutPausedError
from anyservice_core.metrics import Target
from anyservice_core.rollout import RolloutPlan
from tests.metrics import checks

STORE = "http://store.test"
WEB = {"url": f"{STORE}/{{{{ version.id }}}}", "errors": "bad", "requests": "all"}
PROMETHEUS = {
    "address": STORE,
    "errors": "bad{v='{{ version.id }}'}[{{ window }}]",
    "requests": "all{v='{{ version.id }}'}[{{ window }}]",
}
METRICS = {
    "web": {"name": "errors", "provider": {"web": WEB}, "compare": {}, "interval": "20s"},
    "prometheus": {
        "name": "errors",
        "provider": {"prometheus": PROMETHEUS},
        "compare": {},
        "interval": "30s",
    },
    "probe": {
        "name": "errors",
        "provider": {"probe": {"path": "/predict", "requests": 5}},
        "interval": "10s",
    },
    "probe, compared": {
        "name": "errors",
        "provider": {"probe": {"requests": 60}},
        "compare": {},
        "interval": "20s",
    },
}


def everything(stage: Any, bad: Callable[[bool], int]) -> None:
    """A store of either kind, and the service: ``bad`` of 100 requests a window, of the canary or the primary."""

    def is_canary(text: str) -> bool:
        canary = stage.canary
        return canary is not None and canary.id in text

    def store(request: httpx.Request) -> httpx.Response:
        if "/api/v1/query" not in request.url.path:
            return httpx.Response(200, json={"all": 100, "bad": bad(is_canary(request.url.path))})
        (query,) = parse_qs(request.url.query.decode())["query"]
        count = 100 if query.startswith("all") else bad(is_canary(query))
        data = {"resultType": "vector", "result": [{"value": [0, str(count)]}]}
        return httpx.Response(200, json={"status": "success", "data": data})

    asked = {True: 0, False: 0}

    def service(request: httpx.Request) -> httpx.Response:
        version = request.headers["x-anyservice-version"]
        asked[is_canary(version)] += 1
        failed = asked[is_canary(version)] % 100 < bad(is_canary(version))
        return httpx.Response(500 if failed else 200, headers={"x-anyservice-version": version})

    stage.plane.serve(STORE, store)
    stage.plane.serve("http://127.0.0.1:8700", service)


@pytest.mark.parametrize("source", METRICS)
def test_a_good_canary_is_promoted(stage: Any, source: str) -> None:
    """Each source has enough to say within its bake."""
    stage.first()
    everything(stage, lambda _: 0)
    report = stage.run(plan={"metrics": [METRICS[source]], "steps": [10], "bake": "3m"})
    assert report.outcome == "succeeded"
    assert stage.primary == stage.version()
    assert {finding.phase for step in report.steps for finding in step.findings} == {"successful"}


@pytest.mark.parametrize("source", METRICS)
def test_a_bad_canary_is_taken_back(stage: Any, source: str) -> None:
    """And the report says with which numbers."""
    stage.first()
    everything(stage, lambda canary: 30 if canary else 0)
    report = stage.fails(RolledBackError, plan={"metrics": [METRICS[source]], "steps": [10], "bake": "3m"})
    assert report["reason"].startswith("errors: ")
    assert stage.canary is None


@pytest.mark.parametrize("source", ["web", "prometheus", "probe, compared"])
def test_what_hits_both_versions_pauses(stage: Any, source: str) -> None:
    """Going back would not help."""
    stage.first()
    everything(stage, lambda _: 30)
    report = stage.fails(RolloutPausedError, plan={"metrics": [METRICS[source]], "steps": [10], "bake": "3m"})
    assert report["pause"] == "common-mode"


def test_the_same_in_the_other_colour(stage: Any) -> None:
    """A triggerer rolls out asynchronously, with several metrics at once."""
    stage.first()
    everything(stage, lambda _: 0)
    metrics = [{**metric, "name": name} for name, metric in METRICS.items()]
    smoke = {"name": "smoke", "provider": {"python": "tests.metrics.checks:smoke"}, "interval": "1m"}
    checks.seen.clear()

    async def later() -> Any:
        async with stage.plane.async_client() as client:
            plan = stage.plan(metrics=[*metrics, smoke], steps=[10], bake="3m")
            return await client.rollout(stage.config(), plan)

    assert anyio.run(later).outcome == "succeeded"
    assert {target.canary_name for target in checks.seen} == {stage.version()}


def test_a_smoke_check_at_weight_0_comes_before_any_user(stage: Any) -> None:
    """It is waited for as often as the plan asks, and takes the canary back before anyone met it."""
    stage.first()
    calls: list[Target] = []

    def smoke(target: Target) -> bool:
        calls.append(target)
        return len(calls) < 3

    steps = [{"weight": 0, "analysis": ["smoke"]}, 10]
    metric = {"name": "smoke", "provider": {"python": smoke}, "count": 5, "interval": "10s"}
    report = stage.fails(RolledBackError, plan={"metrics": [metric], "steps": steps, "bake": 0})
    assert "it said no: failed 1 of 3 measurements" in report["reason"]
    assert {target.weight for target in calls} == {0}
    assert calls[1].at - calls[0].at == pytest.approx(10, abs=2)


def test_a_count_makes_a_step_wait_beyond_its_bake(stage: Any) -> None:
    """A bake is the least that a step takes."""
    stage.first()
    metric = {
        "name": "smoke",
        "provider": {"python": "tests.metrics.checks:smoke"},
        "count": 4,
        "interval": "20s",
    }
    report = stage.run(plan={"metrics": [metric], "steps": [10], "bake": "5s"})
    assert report.steps[0].baked_s == pytest.approx(60, abs=5)
    assert report.steps[0].findings[1].numbers["measured"] == 4


def test_a_function_without_a_name_is_no_hindrance_in_this_process(stage: Any) -> None:
    """What is told of the plan is for people; what is handed to another process is refused."""
    stage.first()
    metric = {"name": "mine", "provider": {"python": lambda target: target.weight <= 50}}
    plan = RolloutPlan.parse(stage.plan(metrics=[metric]))
    assert stage.client.rollout(stage.config(), plan).outcome == "succeeded"
    told = stage.events[0].data["plan"]
    assert "<lambda>" in told["metrics"][0]["provider"]["python"]["call"]
    with pytest.raises(PlanError):
        plan.to_dict()
