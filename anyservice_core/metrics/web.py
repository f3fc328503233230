"""Numbers out of any endpoint that answers with JSON, found by JMESPath.

The names of ``template.py`` are filled into address, body and paths; nothing is evaluated. A path that leads
to null is *no data*; anything but JSON that says yes is *unreadable*.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator, model_validator

from anyservice_core.effects import Op, Request
from anyservice_core.metrics.asking import (
    MAX_BYTES,
    UnreadableError,
    ask,
    check_address,
    content_of,
    readable,
)
from anyservice_core.metrics.headers import Headers, resolved, sounds_secret
from anyservice_core.metrics.paths import check_path, number
from anyservice_core.metrics.reading import Count, Increase, Level, Reading, Side, Target
from anyservice_core.metrics.source import Seconds, Source, counted
from anyservice_core.metrics.template import check, fill, fill_all, in_path, in_url, mentions

__all__ = ["Web", "measure_web"]

_NOBODY = Target("x", "x", "x", "x", "x", 1.0)  # stands in for versions while a plan is checked


class Web(Source):
    """Numbers out of any JSON over HTTP: either ``value``, or ``errors`` and ``requests``. An answer may have 1 MiB.

    ``url``: where to ask; for counts once for each version, or once where only the paths name the version.
    ``method``: GET, or POST.
    ``headers``: what the endpoint wants to see; a secret as ``{env: NAME}``.
    ``body``: sent as JSON; a text in it that is but ``{{ window.start }}``, ``{{ window.end }}``,
    ``{{ window.seconds }}`` or ``{{ weight }}`` becomes that number.
    ``value``: a JMESPath to one number, to hold against ranges.
    ``errors``: a JMESPath to the bad answers of one version.
    ``requests``: a JMESPath to all answers of one version.
    ``lag_s``: how far in the past windows end, in seconds.
    ``timeout_s``: bounds each request, in seconds.
    """

    name: ClassVar[str] = "web"

    url: str
    method: Literal["GET", "POST"] = "GET"
    headers: Headers = Field(default_factory=dict)
    body: Any = None
    value: str | None = None
    errors: str | None = None
    requests: str | None = None
    lag_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    timeout_s: Seconds = 10.0

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        check(value)
        filled = fill(value, _NOBODY, quoted=in_url)
        check_address(filled)
        for name, _ in parse_qsl(urlsplit(filled).query):
            if sounds_secret(name):
                raise ValueError(
                    f"{name!r} in the address would end up in logs: use `headers` with {{env: NAME}}"
                )
        return value

    @field_validator("body")
    @classmethod
    def _knows_its_names(cls, value: Any) -> Any:
        check(value)
        return value

    @field_validator("value", "errors", "requests")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        check(value)
        check_path(_path(value, _NOBODY, "canary"))
        return value

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Web:
        counts = (self.errors is not None, self.requests is not None)
        if (self.value is None) == (not any(counts)) or any(counts) != all(counts):
            raise ValueError("give either `value`, or both `errors` and `requests`")
        if self.body is not None and self.method == "GET":
            raise ValueError("a GET has no body: write `method: POST`")
        asked = [self.url, self.body]
        if any(counts) and not (
            mentions(asked, "version")
            or all(mentions(path, "version") for path in (self.errors, self.requests))
        ):
            raise ValueError(
                "both versions would have the same counts: name {{ version.id }} in the address or the paths"
            )
        return self

    @property
    def brings_counts(self) -> bool:
        return self.value is None

    @property
    def looks_back(self) -> bool:
        return self.value is None or mentions([self.url, self.body, self.value], "window")

    @property
    def delay_s(self) -> float:
        return self.lag_s


def measure_web(source: Web, target: Target) -> Op[Reading]:
    """One measurement: an ``Increase`` of both versions, or a ``Level``."""
    return readable(_measure(source, target))


def _measure(source: Web, target: Target) -> Op[Reading]:
    headers = yield from resolved(source.headers)
    request = _request(source, target, "canary", headers)
    answer = content_of((yield from ask(request)), request.path)
    if source.value is not None:
        return Level(number(_path(source.value, target, "canary"), answer))
    other = _request(source, target, "primary", headers)
    other_answer = answer if other == request else content_of((yield from ask(other)), other.path)
    return Increase(_count(source, target, "canary", answer), _count(source, target, "primary", other_answer))


def _request(source: Web, target: Target, side: Side, headers: dict[str, str]) -> Request:
    return Request(
        source.method,
        fill(source.url, target, side, quoted=in_url),
        json=fill_all(source.body, target, side),
        headers=headers,
        timeout_s=source.timeout_s,
        max_bytes=MAX_BYTES,
        redirects=not headers,
    )


def _count(source: Web, target: Target, side: Side, answer: Any) -> Count:
    """No requests are none, but errors that are not there may be a path that leads nowhere."""
    requests = number(_path(source.requests or "", target, side), answer) or 0.0
    errors = number(_path(source.errors or "", target, side), answer)
    if errors is None and requests:
        raise UnreadableError(
            f"`errors` leads to nothing for the {side}'s {requests:.0f} requests: if that means 0, "
            f"write {source.errors} || `0`"
        )
    return counted(requests, errors or 0.0)


def _path(path: str, target: Target, side: Side) -> str:
    return fill(path, target, side, quoted=in_path)
