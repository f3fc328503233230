"""Numbers out of a Prometheus server, by instant queries.

In a query ``{{ version.id }}``, ``{{ version.name }}`` (of the version that is being asked for),
``{{ canary.id }}``, ``{{ primary.id }}``, ``{{ window }}`` and more (``template.py``) are filled in; nothing is
evaluated. An answer without a sample, or with NaN, is *no data*; anything but an answer is *unreadable*.

A sample is seen by the server up to one scrape after it was due. So each query is asked as of ``lag_s`` ago,
and windows are whole seconds that follow one another without a gap or an overlap.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from anyservice_core.effects import Op, Reply, Request
from anyservice_core.metrics.asking import MAX_BYTES, UnreadableError, ask, check_address, readable
from anyservice_core.metrics.headers import Headers, resolved
from anyservice_core.metrics.reading import Count, Increase, Level, Reading, Side, Target
from anyservice_core.metrics.source import Seconds, Source, counted
from anyservice_core.metrics.template import check, fill, in_promql, mentions

__all__ = ["Prometheus", "measure_prometheus"]


class Prometheus(Source):
    """Numbers out of a Prometheus server: either ``query``, or ``errors`` and ``requests``.

    ``address``: where the server is, as http://prometheus:9090.
    ``query``: PromQL that gives one number, to hold against ranges.
    ``errors``: PromQL that counts the bad answers of one version over ``{{ window }}``; no sample counts as none.
    ``requests``: PromQL that counts all answers of one version over ``{{ window }}``, as in
    ``sum(increase(requests_total{version="{{ version.id }}"}[{{ window }}]))``.
    ``headers``: what the server wants to see; a secret as ``{env: NAME}``.
    ``lag_s``: how far in the past to ask, by default one scrape of 15 seconds.
    ``timeout_s``: bounds each query, in seconds.
    """

    name: ClassVar[str] = "prometheus"

    address: str
    query: str | None = None
    errors: str | None = None
    requests: str | None = None
    headers: Headers = Field(default_factory=dict)
    lag_s: Annotated[float, Field(ge=0, le=600)] = 15.0
    timeout_s: Seconds = 10.0

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        check_address(value)
        return value.rstrip("/")

    @field_validator("query", "errors", "requests")
    @classmethod
    def _knows_its_names(cls, value: str | None) -> str | None:
        check(value)
        return value

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Prometheus:
        counts = (self.errors is not None, self.requests is not None)
        if (self.query is None) == (not any(counts)) or any(counts) != all(counts):
            raise ValueError("give either `query`, or both `errors` and `requests`")
        for name, query in (("errors", self.errors), ("requests", self.requests)):
            if query is not None and not mentions(query, "version"):
                raise ValueError(
                    f"`{name}` would be the same for both versions: name {{{{ version.id }}}} in it"
                )
        return self

    @property
    def brings_counts(self) -> bool:
        return self.query is None

    @property
    def looks_back(self) -> bool:
        return self.query is None or mentions(self.query, "window")

    @property
    def delay_s(self) -> float:
        return self.lag_s


def measure_prometheus(source: Prometheus, target: Target) -> Op[Reading]:
    """One measurement: an ``Increase`` of both versions, or a ``Level``."""
    return readable(_measure(source, target))


def _measure(source: Prometheus, target: Target) -> Op[Reading]:
    headers = yield from resolved(source.headers)
    if source.query is not None:
        value = yield from _ask(source, source.query, target, "canary", headers)
        return Level(value if value is not None and math.isfinite(value) else None)
    canary = yield from _count(source, target, "canary", headers)
    primary = yield from _count(source, target, "primary", headers)
    return Increase(canary, primary)


def _count(source: Prometheus, target: Target, side: Side, headers: dict[str, str]) -> Op[Count]:
    """Requests and bad ones of one version."""
    requests = yield from _ask(source, source.requests or "", target, side, headers)
    errors = yield from _ask(source, source.errors or "", target, side, headers)
    numbers = [value if value is not None else 0.0 for value in (requests, errors)]
    if not all(map(math.isfinite, numbers)):
        raise UnreadableError(
            f"{numbers[0]:g} requests and {numbers[1]:g} errors are no counts: do not divide in them"
        )
    return counted(*numbers)


def _ask(
    source: Prometheus, query: str, target: Target, side: Side, headers: dict[str, str]
) -> Op[float | None]:
    reply = yield from ask(
        Request(
            "GET",
            f"{source.address}/api/v1/query",
            params={"query": fill(query, target, side, quoted=in_promql), "time": f"{target.at:.3f}"},
            headers=headers,
            timeout_s=source.timeout_s,
            max_bytes=MAX_BYTES,
            redirects=not headers,
        )
    )
    return _sample(reply)


def _sample(reply: Reply) -> float | None:
    data = _parse(reply).get("data")
    if not isinstance(data, dict) or not isinstance(rows := data.get("result"), list):
        raise UnreadableError("Prometheus answered without a result")
    if data.get("resultType") == "scalar":
        return _number(rows)
    if len(rows) > 1:
        raise UnreadableError(
            f"the query has {len(rows)} results where one is needed: wrap it in sum() or max()"
        )
    return _number(rows[0].get("value") if isinstance(rows[0], dict) else None) if rows else None


def _parse(reply: Reply) -> dict[str, Any]:
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise UnreadableError(f"Prometheus answered with HTTP {reply.status} and no JSON object")
    if reply.status != 200 or answer.get("status") != "success":
        why = str(answer.get("error") or "no reason given")[:200]
        raise UnreadableError(f"Prometheus refused the query (HTTP {reply.status}): {why}")
    return answer


def _number(pair: Any) -> float:
    try:
        return float(pair[1])
    except (TypeError, ValueError, IndexError, KeyError):
        raise UnreadableError("Prometheus answered with a sample that is no number") from None
