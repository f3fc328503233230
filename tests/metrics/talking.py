"""Holding a source's conversation by hand: each request gets the next reply."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from anyservice_core.effects import Call, Op, Reply, Request, Together
from anyservice_core.metrics import Target

T = TypeVar("T")

TARGET = Target(
    service_id="service2_1",
    canary_id="srv_new",
    canary_name="r-2",
    primary_id="srv_old",
    primary_name='odd"name',
    window_s=59.2,
    at=1_700_000_059.5,
    service="recommender",
    weight=10,
    query_url="http://127.0.0.1:8700/",
    query_auth_token="t0k3n",
)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(content).encode(), headers or {})


def converse(op: Op[T], *replies: Reply | Exception) -> tuple[list[Request], T]:
    """Every request that was made, and what came of it. A call is made, and conversations are held in turn."""
    asked: list[Request] = []
    waiting = iter(replies)
    value = _hold(op, asked, waiting)
    assert not list(waiting), "it asked for less than it was given"
    return asked, value


def _hold(op: Op[T], asked: list[Request], waiting: Iterator[Reply | Exception]) -> T:
    try:
        effect = next(op)
        while True:
            try:
                given = _perform(effect, asked, waiting)
            except Exception as error:  # noqa: BLE001  # as the drivers do
                effect = op.throw(error)
            else:
                effect = op.send(given)
    except StopIteration as stop:
        value: T = stop.value
        return value


def _perform(effect: Any, asked: list[Request], waiting: Iterator[Reply | Exception]) -> Any:
    match effect:
        case Call(function, args):
            return function(*args)
        case Together(ops):
            return [_hold(op, asked, waiting) for op in ops]
    assert isinstance(effect, Request)
    asked.append(effect)
    reply = next(waiting)
    if isinstance(reply, Exception):
        raise reply
    return reply
