"""Real requests to the service itself, each held against what its answer must be.

The router of the embedded plane sends a probe to the version that its header names, and says on the answer which
version gave it; so the canary can be tried at weight 0, before any user meets it. A router that does not do so
sends probes by weight like any user's, and they are about the service as a whole.

An answer that is wrong, slow or missing within ``timeout_s`` is bad. A connection that cannot be made is *unreadable*:
whoever is there first, the router, is not the canary.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from anyservice_core.effects import Op, Reply, Request, Together
from anyservice_core.errors import AnyserviceError, TransportError
from anyservice_core.metrics.asking import MAX_BYTES, UnreadableError, readable
from anyservice_core.metrics.headers import Headers, resolved
from anyservice_core.metrics.paths import check_path, find
from anyservice_core.metrics.reading import VERSION_HEADER, Count, Increase, Level, Reading, Side, Target
from anyservice_core.metrics.source import Seconds, Source
from anyservice_core.metrics.template import check, fill, fill_all, in_url

__all__ = ["Expect", "Probe", "measure_probe"]

_NO_SUCH_VERSION: Final = b"no such version takes requests here"  # the plane's router


def _range(value: Any) -> Any:
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


class Expect(BaseModel):
    """What a good answer is like; all of it must hold.

    ``status``: one, or the first and last that are good.
    ``latency_s``: it comes whole within so many seconds.
    ``contains``: this text is in its body.
    ``values``: what JMESPaths in its JSON lead to, as ``{label: spam}``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Annotated[
        tuple[Annotated[int, Field(ge=100, le=599)], Annotated[int, Field(ge=100, le=599)]],
        BeforeValidator(_range, json_schema_input_type=int | tuple[int, int]),
    ] = (200, 299)
    latency_s: Seconds | None = None
    contains: str | None = None
    values: Mapping[str, Any] = {}

    @field_validator("values")
    @classmethod
    def _are_paths(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for path in value:
            check_path(path)
        return value


class Probe(Source):
    """Real requests to the service. An answer may have 1 MiB.

    The number is the share of good answers of the canary, 0 to 1, and all must be good where the metric has no range.
    With ``compare`` both versions are probed; that needs a router that says who answered.

    ``path``: of the service, after its address.
    ``method``: of the request; POST by default where there is a body.
    ``headers``: sent along; a secret as ``{env: NAME}``. The service's own token is added.
    ``body``: sent as JSON.
    ``expect``: what a good answer is like.
    ``requests``: how many a measurement, at most eight at a time.
    ``timeout_s``: bounds each request, in seconds.
    """

    name: ClassVar[str] = "probe"
    every_s: ClassVar[float] = 30.0

    path: Annotated[str, Field(pattern=r"^/")] = "/"
    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: Headers = Field(default_factory=dict)
    body: Any = None
    expect: Expect = Expect()
    requests: Annotated[int, Field(ge=1, le=200)] = 1
    timeout_s: Seconds = 10.0

    @model_validator(mode="before")
    @classmethod
    def _a_body_is_posted(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("body") is not None and "method" not in data:
            return {**data, "method": "POST"}
        return data

    @field_validator("path", "body")
    @classmethod
    def _knows_its_names(cls, value: Any) -> Any:
        check(value)
        return value

    @model_validator(mode="after")
    def _can_be_met(self) -> Probe:
        if self.expect.status[0] > self.expect.status[1]:
            raise ValueError(
                f"expect.status: no answer is from {self.expect.status[0]} to {self.expect.status[1]}: swap them"
            )
        if self.expect.latency_s is not None and self.expect.latency_s > self.timeout_s:
            raise ValueError(
                "expect.latency_s is above timeout_s, so it would never be seen: raise timeout_s"
            )
        return self


class _Answers:
    """What came back for one version."""

    def __init__(self, faults: Sequence[str | None]) -> None:
        self.bad = [fault for fault in faults if fault is not None]
        self.count = Count(len(faults), len(self.bad))

    @property
    def why(self) -> str:
        """How many were bad, and what was wrong with most of them."""
        if not self.bad:
            return ""
        most = [f"{fault} ({n} times)" if n > 1 else fault for fault, n in Counter(self.bad).most_common(2)]
        return f"{self.count.bad} of {self.count.requests} bad: {'; '.join(most)}"


def measure_probe(source: Probe, target: Target, *, compare: bool) -> Op[Reading]:
    """One measurement: the share of good answers as a ``Level``, or an ``Increase`` of both versions."""
    return readable(_measure(source, target, compare=compare))


def _measure(source: Probe, target: Target, *, compare: bool) -> Op[Reading]:
    if not target.query_url:
        raise UnreadableError("the service has no address yet")
    headers = yield from resolved(source.headers)
    canary = yield from _answers(source, target, "canary", headers, sure=compare or not target.weight)
    if not compare:
        return Level(1 - canary.count.bad / canary.count.requests, canary.why)
    primary = yield from _answers(source, target, "primary", headers, sure=True)
    return Increase(canary.count, primary.count, canary.why)


def _answers(
    source: Probe, target: Target, side: Side, headers: Mapping[str, str], *, sure: bool
) -> Op[_Answers]:
    """``sure``: an answer of whichever version is of no use."""
    request = _request(source, target, side, headers)
    faults: list[str | None] = yield from Together(
        [_fault(source, request, target.version_id(side), sure=sure) for _ in range(source.requests)]
    )
    return _Answers(faults)


def _request(source: Probe, target: Target, side: Side, headers: Mapping[str, str]) -> Request:
    return Request(
        source.method,
        target.url(fill(source.path, target, side, quoted=in_url)),
        json=fill_all(source.body, target, side),
        headers={**target.headers(side), **headers},
        idempotent=False,
        timeout_s=source.timeout_s,
        max_bytes=MAX_BYTES,
        redirects=False,
    )


def _fault(source: Probe, request: Request, version_id: str, *, sure: bool) -> Op[str | None]:
    """What is wrong with the answer; ``None`` for a good one."""
    try:
        reply = yield from request
    except TransportError as error:
        if not error.timed_out:
            raise UnreadableError(error.message.rstrip(".")) from None
        return f"no answer within {source.timeout_s:g} s"
    except AnyserviceError as error:
        raise UnreadableError(error.message.rstrip(".")) from None
    by = reply.headers.get(VERSION_HEADER)
    if by is None:
        _refuse_unknown(reply, source.expect, sure=sure)
    elif by != version_id:
        return "it could not be reached, and another version answered"
    return _wrong(source.expect, reply)


def _refuse_unknown(reply: Reply, expect: Expect, *, sure: bool) -> None:
    """An answer that no version gave, or nobody says which."""
    if reply.status == 404 and _NO_SUCH_VERSION in reply.body:
        raise UnreadableError("the router does not know the version yet")
    if reply.status == 401 and not _is_within(401, expect):
        raise UnreadableError("the service wants another token (HTTP 401)")
    if sure:
        raise UnreadableError(
            "the router does not say which version answered, which it takes to probe a canary that has no users, "
            "or to compare: probe at a weight above 0, without `compare`"
        )


def _is_within(status: int, expect: Expect) -> bool:
    return expect.status[0] <= status <= expect.status[1]


def _wrong(expect: Expect, reply: Reply) -> str | None:
    """The first thing that is not as it must be."""
    if not _is_within(reply.status, expect):
        low, high = expect.status
        return f"HTTP {reply.status} where {low if low == high else f'{low} to {high}'} is good"
    if expect.latency_s is not None and reply.elapsed_s > expect.latency_s:
        return f"slower than {expect.latency_s:g} s"
    if expect.contains is not None and expect.contains.encode() not in reply.body:
        return f"no {_short(expect.contains)} in the answer"
    return _wrong_value(expect.values, reply.body) if expect.values else None


def _wrong_value(wanted: Mapping[str, Any], body: bytes) -> str | None:
    try:
        content = json.loads(body)
        for path, value in wanted.items():
            found = find(path, content)
            if found != value or isinstance(found, bool) != isinstance(value, bool):
                return f"{path} is {_short(found)} where {_short(value)} is good"
    except (ValueError, RecursionError):
        return "the answer is no JSON"
    except UnreadableError as error:
        return str(error)
    return None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
