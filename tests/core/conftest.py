"""Conversations held by hand, and the shapes that servers answer with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from anyservice_core.effects import (
    Call,
    Effect,
    Home,
    Inside,
    Now,
    Op,
    Reply,
    Report,
    Request,
    Save,
    Sleep,
    Together,
    Upload,
)
from anyservice_core.errors import AnyserviceError
from anyservice_core.settings import Workspace


def reply(content: Any = None, status: int = 200, **headers: str) -> Reply:
    body = b"" if content is None else json.dumps(content).encode()
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass
class Conversation:
    """What an operation asked for, in order, and how it ended."""

    effects: list[Effect] = field(default_factory=list)
    result: Any = None
    now: float = 1000.0
    workspace: Workspace | None = None

    def hold(self, op: Op[Any], answers: Sequence[Any]) -> Conversation:
        """Answer requests, uploads and calls in order; time passes when the operation sleeps."""
        left = list(answers)
        self.result = self._run(op, left)
        assert not left, f"never asked for: {left}"
        return self

    def _run(self, op: Op[Any], left: list[Any]) -> Any:
        try:
            effect = next(op)
            while True:
                self.effects.append(effect)
                try:
                    answer = self._answer(effect, left)
                except AnyserviceError as error:  # of one that was held beside others
                    answer = error
                effect = op.throw(answer) if isinstance(answer, BaseException) else op.send(answer)
        except StopIteration as stop:
            return stop.value

    def _answer(self, effect: Effect, left: list[Any]) -> Any:
        match effect:
            case Now():
                return self.now
            case Sleep(seconds):
                self.now += seconds
            case Request() | Upload() | Call():
                assert left, f"no answer prepared for {effect}"
                return left.pop(0)
            case Inside():
                return self.workspace
            case Home():
                return "https://console.test"
            case Together(ops):
                return [self._run(op, left) for op in ops]
        return None

    @property
    def lines(self) -> list[str]:
        """The requests, as method and path."""
        return [f"{effect.method} {effect.path}" for effect in self.effects if isinstance(effect, Request)]

    @property
    def requests(self) -> list[Request]:
        return [effect for effect in self.effects if isinstance(effect, Request)]

    @property
    def sleeps(self) -> list[Sleep]:
        return [effect for effect in self.effects if isinstance(effect, Sleep)]

    @property
    def reports(self) -> list[str]:
        return [str(effect.event) for effect in self.effects if isinstance(effect, Report)]

    @property
    def saves(self) -> list[Save]:
        return [effect for effect in self.effects if isinstance(effect, Save)]


@dataclass
class Shapes:
    """Answers in the API's shapes."""

    def reply(self, content: Any = None, status: int = 200) -> Reply:
        return reply(content, status)

    def result(self, content: Any) -> Reply:
        return reply({"result": content})

    def page(self, *items: Any, token: str | None = None) -> Reply:
        return reply({"results": [*items], "metadata": {"total": len(items), "next_paging_token": token}})

    def error(self, status: int, detail: str = "no", **headers: str) -> Reply:
        return reply({"error": {"detail": detail}}, status, **headers)

    def version(self, id: str = "srv_aaaaaaaa", **fields: Any) -> dict[str, Any]:
        base = {
            "id": id,
            "version": "v1",
            "weight": 100,
            "current_state": "RUNNING",
            "created_at": "2026-01-01T00:00:00+00:00",
            "ray_serve_config": {"applications": [{"import_path": "main:app"}]},
            "build_id": "bld_1",
            "compute_config_id": "cpt_1",
        }
        return {**base, **fields}

    def service(self, id: str = "service2_1", **fields: Any) -> dict[str, Any]:
        primary = fields.pop("primary_version", None) or self.version()
        base = {
            "id": id,
            "name": "recommender",
            "project_id": "prj_1",
            "cloud_id": "cld_1",
            "current_state": "RUNNING",
            "base_url": "http://recommender.test",
            "auth_token": "tok_secret",
            "primary_version": primary,
            "canary_version": None,
            "versions": [primary],
        }
        return {**base, **fields}


@pytest.fixture
def hold() -> Callable[..., Conversation]:
    return lambda op, *answers: Conversation().hold(op, answers)


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


@pytest.fixture
def shapes() -> Shapes:
    return Shapes()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
