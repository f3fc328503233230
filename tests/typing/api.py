"""Calls that are only type-checked: what an editor and mypy must know of the public names."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

from anyservice_core import (
    AsyncClient,
    AsyncResultIterator,
    Client,
    DeployPreview,
    ResultIterator,
    ServiceConfig,
    ServiceId,
    ServiceStatus,
    service,
)
from anyservice_core.effects import Now, Op
from anyservice_core.rollout import Backtest, RolloutReport


def sync(client: Client, config: ServiceConfig) -> None:
    assert_type(client.deploy(config, canary_percent=10), ServiceId)
    assert_type(client.prepare(config), ServiceConfig)
    assert_type(client.preview(config, canary_percent=10), DeployPreview)
    assert_type(client.shift("x", canary_percent=10), str)
    assert_type(client.status("x"), ServiceStatus)
    assert_type(client.wait("x", timeout_s=5.0), ServiceStatus)
    assert_type(client.rollback("x"), str)
    assert_type(client.terminate(id="x"), str)
    assert_type(client.archive("x"), str)
    assert_type(client.delete("x"), str)
    assert_type(client.list(name="x"), ResultIterator[ServiceStatus])
    assert_type(client.rollout(config, "plan.yaml"), RolloutReport)
    assert_type(client.backtest("plan.yaml", canary="srv_2", primary="srv_1", start="2h"), Backtest)
    assert_type(client.run(moment()), float)
    client.status(nmae="x")  # type: ignore[call-arg]
    client.shift("x")  # type: ignore[call-arg]


async def asynchronous(client: AsyncClient, config: ServiceConfig) -> None:
    later = client.status("x")
    _ = assert_type(later, Coroutine[Any, Any, ServiceStatus])
    assert_type(await later, ServiceStatus)
    assert_type(await client.deploy(config), ServiceId)
    assert_type(await client.preview(config), DeployPreview)
    assert_type(await client.wait("x"), ServiceStatus)
    assert_type(await client.rollout(config, {}), RolloutReport)
    assert_type(await client.backtest({}, canary="srv_2", primary="srv_1", start=7200), Backtest)
    assert_type(await client.run(moment()), float)
    assert_type(client.list(), AsyncResultIterator[ServiceStatus])
    async for one in client.list():
        assert_type(one, ServiceStatus)
    for _ in client.list():  # type: ignore[attr-defined]
        pass


def module() -> None:
    assert_type(service.deploy({"name": "x"}), ServiceId)
    assert_type(service.list(max_items=5), ResultIterator[ServiceStatus])


def moment() -> Op[float]:
    return (yield from Now())
