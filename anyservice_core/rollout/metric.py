"""What a plan asks of the canary: metrics, the ranges they must keep to, and comparisons with the primary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)

from anyservice_core.metrics import Prometheus
from anyservice_core.rollout.duration import Duration

__all__ = ["HEALTH", "Bound", "Compare", "FaultError", "Metric", "Part"]


class FaultError(ValueError):
    """A fault in a plan at ``where``, seen from the part that found it."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


class Part(BaseModel):
    """A part of a plan: frozen, and strict about names. ``later`` names fields of a later version."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    later: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_done_yet(cls, data: Any) -> Any:
        for name in cls.later:
            if isinstance(data, Mapping) and name in data:
                raise FaultError("not supported by this version yet: remove it, as it would not hold", name)
        return data


class Bound(Part):
    """A range of numbers, both ends included; one of them may be open."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Bound:
        if self.min is None and self.max is None:
            raise ValueError("an empty range: give `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: swap them")
        return self

    def __contains__(self, value: float) -> bool:
        """Whether ``value`` lies in the range."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class Compare(Part):
    """How much worse than the primary the canary may be, and how sure to be of it.

    ``max_ratio``: the canary's rate of bad answers may be this many times the primary's.
    ``max_rate``: a canary proven to err less than this passes, whatever the ratio; ``None``: no such way.
    ``confidence``: of a verdict, over a whole rollout for "failed", each step for "passed".
    ``dispersion``: how much the errors clump; 1 means one by one, "auto" learns it from the windows.
    """

    max_ratio: Annotated[float, Field(ge=1, le=100)] = 2.0
    max_rate: Annotated[float, Field(gt=0, lt=1)] | None = 0.01
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    dispersion: Annotated[float, Field(ge=1)] | Literal["auto"] = "auto"


class Metric(Part):
    """A question put to the canary again and again.

    A provider that brings one number needs ``success`` or ``failure``: in ``failure`` it failed; else in
    ``success`` it passed; with both given and neither met it is inconclusive. A provider that brings
    counts needs ``compare``. A limit is *exceeded*, not reached: ``failure_limit`` 0 fails at the first.
    """

    later: ClassVar[tuple[str, ...]] = ("count", "consecutive_success_limit")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    provider: Annotated[
        Annotated[Literal["service", "router"], Tag("by-name")] | Annotated[Prometheus, Tag("prometheus")],
        Discriminator(lambda value: "by-name" if isinstance(value, str) else "prometheus"),
    ]
    interval: Duration | None = None
    initial_delay: Duration = 0.0
    success: Bound | None = None
    failure: Bound | None = None
    compare: Compare | None = None
    failure_limit: Annotated[int, Field(ge=0)] | None = None
    consecutive_failure_limit: Annotated[int, Field(ge=0)] | None = None
    inconclusive_limit: Annotated[int, Field(ge=0)] = 0
    consecutive_error_limit: Annotated[int, Field(ge=0)] = 4
    on_no_data: Literal["inconclusive", "success", "failure"] = "inconclusive"
    dry_run: bool = False

    @field_validator("provider", mode="before")
    @classmethod
    def _one_provider(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {value: None}
        if not isinstance(value, Mapping):
            return value if isinstance(value, Prometheus) else str(value)
        if len(value) != 1:
            raise ValueError(f"exactly one provider, not {sorted(map(str, value))}: {_PROVIDERS}")
        return _provider(*next(iter(value.items())))

    @field_serializer("provider")
    def _under_its_name(self, provider: str | Prometheus) -> Any:
        if isinstance(provider, str):
            return provider
        return {"prometheus": provider.model_dump(mode="json", exclude_none=True)}

    @model_validator(mode="before")
    @classmethod
    def _router_compares(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("provider") == "router" and data.get("compare") is None:
            return {**data, "compare": {}}
        return data

    @field_validator("interval")
    @classmethod
    def _interval_is_positive(cls, value: float | None) -> float | None:
        if value is not None and value < 0.1:
            raise ValueError("an interval of less than 0.1s would only load the source: write 10s or 1m")
        return value

    @model_validator(mode="after")
    def _has_a_condition(self) -> Metric:
        ranges = self.success is not None or self.failure is not None
        if self.provider == "service":
            self._refuse(self.compare is not None or ranges, "the service says itself whether it is healthy")
        elif self.counts:
            self._refuse(ranges, "it brings counts of both versions, use `compare`")
            self._refuse(self.compare is None, "it brings counts of both versions, give `compare: {}`")
        else:
            self._refuse(self.compare is not None, "`query` brings one number: give `errors` and `requests`")
            self._refuse(
                not ranges, "without `success` or `failure` it could not fail: give one, as {max: 0.9}"
            )
        return self

    def _refuse(self, wrong: bool, why: str) -> None:
        if wrong:
            raise ValueError(f"metric {self.name!r}: {why}")

    @property
    def counts(self) -> bool:
        """Whether its provider brings counts of both versions."""
        return self.provider == "router" or (isinstance(self.provider, Prometheus) and self.provider.counts)

    @property
    def every_s(self) -> float:
        """Seconds between measurements: ``interval``, or what suits the provider."""
        return self.interval if self.interval is not None else _EVERY_S.get(str(self.provider), 60.0)

    @property
    def failures_allowed(self) -> int | None:
        """``failure_limit``; none by default, unless a limit of failures in a row takes its place."""
        if self.failure_limit is None and self.consecutive_failure_limit is not None:
            return None
        return self.failure_limit or 0


_PROVIDERS = "use service, router or prometheus: {address: ..., query: ...}"
_EVERY_S = {"service": 10.0, "router": 10.0}


def _provider(name: Any, options: Any) -> Any:
    if name == "prometheus":
        return options if options is not None else {}
    if name not in {"service", "router"}:
        raise ValueError(f"unknown provider {name!r}: {_PROVIDERS}")
    if options:
        raise ValueError(f"the provider {name!r} has no options: write `provider: {name}`")
    return name


# Always on: a canary that stays unhealthy is taken back without a word in the plan.
HEALTH = Metric(name="service", provider="service", consecutive_failure_limit=3)
