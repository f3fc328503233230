"""What automations hear of a rollout."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from prefect import get_client
from prefect.events.worker import EventsWorker

from anyservice_core import RolloutPlan, ServiceConfig
from anyservice_core.rollout import Event, Kind
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, news, progressive_deploy
from prefect_tasks.promotion import asset_key

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240)]


def told(monkeypatch: pytest.MonkeyPatch, *events: object) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(news, "emit_event", lambda **event: sent.append(event))
    for event in events:
        news.announce(event)
    return sent


def event(kind: Kind, **data: Any) -> Event:
    return Event(kind, "Recommender 2", "v3-abc", 10, "said", 1_800_000_000.0, data)


def test_an_event_is_about_the_service_and_says_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resource can be matched by name, and the payload holds what a message to people needs."""
    (sent,) = told(monkeypatch, event(Kind.FINISHED, outcome="rolled_back", report={"much": "text"}))
    assert sent["event"] == "anyservice.rollout.rolled-back"
    assert sent["resource"]["prefect.resource.id"] == "anyservice.service.recommender-2"
    assert sent["payload"] == {
        "service": "Recommender 2",
        "version": "v3-abc",
        "weight": 10,
        "message": "said",
        "outcome": "rolled_back",
    }


def test_the_way_back_and_its_end_are_two_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page goes out once: when it is back, not also when it sets out."""
    names = [one["event"] for one in told(monkeypatch, event(Kind.ROLLING_BACK), event(Kind.BAKING))]
    assert names == ["anyservice.rollout.rolling-back", "anyservice.rollout.step"]


def test_polls_are_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements and mere waiting would drown what matters; a gate that holds it is news."""
    gate = event(Kind.WAITING, gate="promotion", until=None)
    assert len(told(monkeypatch, event(Kind.MEASURED), event(Kind.WAITING), "of another call", gate)) == 1


@pytest.mark.parametrize("name", ["recommender", "Größe 7", "a/b?c#d", "-"])
def test_any_service_has_an_asset(name: str) -> None:
    """A key has no character that Prefect refuses."""
    from prefect.assets import Asset

    assert Asset(key=asset_key(name, "http://127.0.0.1:8700")).key.startswith("anyservice://127.0.0.1-8700/")


@pytest.mark.usefixtures("prefect_server")
def test_a_promotion_is_stored_by_the_server(
    service: str,
    config: Callable[[str], ServiceConfig],
    plan: RolloutPlan,
    plane: FakePlane,
    credentials: AnyserviceCredentials,
) -> None:
    """Prefect's server has each step, the promotion and the asset, related to the flow run."""
    plane.send_traffic(200)
    progressive_deploy(config("v2"), plan, credentials)
    EventsWorker.drain_all()
    ours = {
        f"anyservice.rollout.{name}" for name in ("started", "deploying", "step", "promoting", "succeeded")
    }
    wanted = {*ours, "prefect.asset.materialization.succeeded"}
    names, related = _stored(service, wanted)
    assert wanted <= names
    assert "flow-run" in related


def _stored(service: str, wanted: set[str]) -> tuple[set[str], set[str]]:
    """The names of the events that are about a service, and the roles of what is related to them."""
    deadline = time.monotonic() + 30
    while True:
        with get_client(sync_client=True) as client:
            filters = {"filter": {"order": "DESC"}, "limit": 50}
            found = client.request("POST", "/events/filter", json=filters).json()["events"]
        ours = [one for one in found if one["resource"]["prefect.resource.id"].endswith(service)]
        names = {one["event"] for one in ours}
        if wanted <= names or time.monotonic() > deadline:
            return names, {each.get("prefect.resource.role", "") for one in ours for each in one["related"]}
        time.sleep(0.2)
