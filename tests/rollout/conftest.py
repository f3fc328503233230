"""Rollouts on a plane in this process, whose time passes as they sleep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from anyservice_core.errors import RolloutError
from anyservice_core.models import ServiceConfig
from anyservice_core.rollout import Event, Journal, RolloutReport
from anyservice_core.rollout.identity import rollout_key, version_name
from anyservice_core.testing import FakePlane

ERRORS = {"name": "errors", "provider": "router", "interval": "5s", "compare": {"max_rate": 0.05}}


class Stage:
    """A plane with users on it, and what rollouts told and saved."""

    def __init__(self) -> None:
        self.plane = FakePlane()
        self.events: list[Event] = []
        self.journal: Journal | None = None
        self.client = self.plane.client(on_report=self.hear, on_save=self.keep)
        self.plane.send_traffic(100)

    def hear(self, event: Any) -> None:
        if isinstance(event, Event):
            self.events.append(event)

    def keep(self, key: str, journal: BaseModel) -> None:
        assert key == "rollout/rec"
        assert isinstance(journal, Journal)
        self.journal = journal

    def config(self, n: int = 2, **fields: Any) -> ServiceConfig:
        return ServiceConfig(name="rec", applications=[{"import_path": f"main:v{n}"}], **fields)

    def version(self, n: int = 2, **fields: Any) -> str:
        config = self.config(n, **fields)
        return version_name(config, rollout_key(config))

    def plan(self, **fields: Any) -> dict[str, Any]:
        return {"steps": [10, 50], "bake": 20, "metrics": [ERRORS], **fields}

    def first(self) -> None:
        """Version 1 serves, as a rollout of it would have left it."""
        self.client.rollout(self.config(1), self.plan())
        self.events.clear()
        self.plane.requests.clear()
        self.journal = None

    def run(self, n: int = 2, **options: Any) -> RolloutReport:
        return self.client.rollout(self.config(n), self.plan(**options.pop("plan", {})), **options)

    def fails(self, kind: type[RolloutError], n: int = 2, **options: Any) -> dict[str, Any]:
        with pytest.raises(kind) as caught:
            self.run(n, **options)
        report: dict[str, Any] = caught.value.report
        assert report["outcome"]
        return report

    @property
    def writes(self) -> list[str]:
        return [request for request in self.plane.requests if not request.startswith("GET")]

    @property
    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.events]

    @property
    def primary(self) -> str:
        return self.plane.service("rec").primary.name

    @property
    def canary(self) -> Any:
        return self.plane.service("rec").canary


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    yield one
    one.plane.close()
