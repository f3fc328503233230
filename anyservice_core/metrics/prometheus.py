"""Numbers out of a Prometheus server, by instant queries.

In a query ``{{ version.id }}``, ``{{ version.name }}`` (of the version that is being asked for),
``{{ canary.id }}``, ``{{ primary.id }}`` and ``{{ window }}`` are filled in; nothing is evaluated.
An answer without a sample, or with NaN, is *no data*; anything but an answer is *unreadable*.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, field_validator, model_validator

from anyservice_core.effects import Op, Reply, Request
from anyservice_core.errors import TransportError
from anyservice_core.metrics.reading import Count, Increase, Level, Reading, Target, Unreadable

__all__ = ["Prometheus", "measure_prometheus"]

_SLOT = re.compile(r"\{\{\s*([\w.]*)\s*\}\}")
_NAMES = (
    "version.id",
    "version.name",
    "canary.id",
    "canary.name",
    "primary.id",
    "primary.name",
    "service.id",
    "window",
)


class Prometheus(BaseModel):
    """Either ``query``, one number to hold against ranges, or ``errors`` and ``requests`` to compare by.

    ``errors`` and ``requests`` are asked once for each version and should count over ``{{ window }}``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    query: str | None = None
    errors: str | None = None
    requests: str | None = None
    timeout_s: float = 10.0

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if AnyHttpUrl(value).password:  # a password here would end up in logs
            raise ValueError("an address with a password in it would end up in logs: leave it out")
        return value.rstrip("/")

    @field_validator("query", "errors", "requests")
    @classmethod
    def _knows_its_names(cls, value: str | None) -> str | None:
        for name in _SLOT.findall(value or ""):
            if name not in _NAMES:
                raise ValueError(f"unknown name {{{{ {name} }}}}: use one of {', '.join(_NAMES)}")
        return value

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Prometheus:
        counts = (self.errors is not None, self.requests is not None)
        if (self.query is None) == (not any(counts)) or any(counts) != all(counts):
            raise ValueError("give either `query`, or both `errors` and `requests`")
        return self

    @property
    def counts(self) -> bool:
        """Whether this brings counts of both versions rather than one number."""
        return self.query is None


class _UnreadableError(Exception):
    """Kept within this file: a query that brought no usable answer."""


def measure_prometheus(source: Prometheus, target: Target) -> Op[Reading]:
    """One measurement: an ``Increase`` of both versions, or a ``Level``."""
    try:
        if source.query is not None:
            return Level(
                (yield from _ask(source, source.query, target, target.canary_id, target.canary_name))
            )
        canary = yield from _count(source, target, target.canary_id, target.canary_name)
        primary = yield from _count(source, target, target.primary_id, target.primary_name)
    except (_UnreadableError, TransportError) as error:
        return Unreadable(str(error))
    return Increase(canary, primary)


def _count(source: Prometheus, target: Target, id: str, name: str) -> Op[Count]:
    """Requests and bad ones of one version; no sample means none."""
    requests = yield from _ask(source, source.requests or "", target, id, name)
    errors = yield from _ask(source, source.errors or "", target, id, name)
    answered = max(0, round(requests or 0))  # increase() extrapolates, so counts come as fractions
    return Count(answered, min(answered, max(0, round(errors or 0))))


def _ask(source: Prometheus, query: str, target: Target, id: str, name: str) -> Op[float | None]:
    reply = yield from Request(
        "GET",
        f"{source.address}/api/v1/query",
        params={"query": _fill(query, target, id, name)},
        timeout_s=source.timeout_s,
    )
    return _sample(reply)


def _fill(query: str, target: Target, id: str, name: str) -> str:
    values = {
        "version.id": id,
        "version.name": name,
        "canary.id": target.canary_id,
        "canary.name": target.canary_name,
        "primary.id": target.primary_id,
        "primary.name": target.primary_name,
        "service.id": target.service_id,
        "window": f"{max(1, math.ceil(target.window_s))}s",
    }
    return _SLOT.sub(lambda slot: _quoted(values[slot[1]]), query)


def _quoted(value: str) -> str:
    """Fit for a label value between double quotes: a name must not be able to end the string."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _sample(reply: Reply) -> float | None:
    data = _parse(reply).get("data")
    if not isinstance(data, dict) or not isinstance(rows := data.get("result"), list):
        raise _UnreadableError("Prometheus answered without a result")
    if data.get("resultType") == "scalar":
        return _number(rows)
    if len(rows) > 1:
        raise _UnreadableError(
            f"the query has {len(rows)} results where one is needed: wrap it in sum() or max()"
        )
    row = rows[0] if rows else {"value": [0, "NaN"]}
    return _number(row.get("value") if isinstance(row, dict) else None)


def _parse(reply: Reply) -> dict[str, Any]:
    try:
        answer = json.loads(reply.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _UnreadableError(f"Prometheus answered with HTTP {reply.status} and no JSON object")
    if reply.status != 200 or answer.get("status") != "success":
        why = str(answer.get("error") or "no reason given")[:200]
        raise _UnreadableError(f"Prometheus refused the query (HTTP {reply.status}): {why}")
    return answer


def _number(pair: Any) -> float | None:
    try:
        value = float(pair[1])
    except (TypeError, ValueError, IndexError):
        raise _UnreadableError("Prometheus answered with a sample that is no number") from None
    return value if math.isfinite(value) else None
