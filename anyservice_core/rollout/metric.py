"""What a plan asks of the canary: metrics, the ranges they must keep to, and comparisons with the primary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticSerializationError

from anyservice_core.metrics import ByName, Probe, Provider, Source, provider, spelled
from anyservice_core.rollout.duration import Duration

__all__ = ["HEALTH", "Bound", "Compare", "FaultError", "Metric", "Part"]


class FaultError(ValueError):
    """A fault in a plan at ``where``, seen from the part that found it."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


class Part(BaseModel):
    """A part of a plan: frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def model_dump(self, **how: Any) -> dict[str, Any]:
        """As pydantic does it; raises ``PlanError`` for what has no name outside this process."""
        try:
            return super().model_dump(**how)
        except PydanticSerializationError as error:
            raise error.__cause__ or error from None


class Bound(Part):
    """A range of numbers, both ends included; one of them may be open.

    ``min``: the smallest number that is in it. ``max``: the largest.
    """

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

    What its provider brings is judged in one of three ways. A number needs ``success`` or ``failure``: in ``failure``
    it failed; else in ``success`` it passed; with both given and neither met it is inconclusive. Counts of both
    versions need ``compare``. A ``python`` function may say yes or no itself, as ``service`` does.

    A limit is *exceeded*, not reached, and counts at each step anew. What could not be measured counts as nothing but
    an error.

    ``provider``: what answers it; ``service``, ``router``, or one of the others with its options.
    ``interval``: seconds between measurements; by default 10 for ``service`` and ``router``, 30 for ``probe``, else 60.
    ``initial_delay``: seconds from when a weight is seen of which nothing is measured, as caches are cold.
    ``count``: how often it is measured at each step; the step waits for that, and then it is not measured again;
    ``None``: for as long as the step lasts.
    ``success``: the range in which a number passes.
    ``failure``: the range in which a number fails.
    ``compare``: hold counts of the canary against those of the primary; ``{}`` for the defaults.
    ``failure_limit``: more failures than this fail the step; 0 by default, and none where
    ``consecutive_failure_limit`` is given alone.
    ``consecutive_failure_limit``: more failures in a row than this fail the step.
    ``consecutive_success_limit``: more successes in a row than this are needed to pass, and then stand; 2 asks for three.
    ``inconclusive_limit``: more measurements than this that say neither yes nor no leave the step inconclusive.
    ``consecutive_error_limit``: more measurements in a row than this that could not be made are an error.
    ``on_no_data``: what it means that a source has nothing to say.
    ``dry_run``: it is measured and shown, and never counted.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    provider: Annotated[
        Provider,
        BeforeValidator(provider, json_schema_input_type=Literal["service", "router"] | ByName),
    ]
    interval: Duration | None = None
    initial_delay: Duration = 0.0
    count: Annotated[int, Field(ge=1)] | None = None
    success: Bound | None = None
    failure: Bound | None = None
    compare: Compare | None = None
    failure_limit: Annotated[int, Field(ge=0)] | None = None
    consecutive_failure_limit: Annotated[int, Field(ge=0)] | None = None
    consecutive_success_limit: Annotated[int, Field(ge=0)] | None = None
    inconclusive_limit: Annotated[int, Field(ge=0)] = 0
    consecutive_error_limit: Annotated[int, Field(ge=0)] = 4
    on_no_data: Literal["inconclusive", "success", "failure"] = "inconclusive"
    dry_run: bool = False

    @field_serializer("provider")
    def _under_its_name(self, value: Provider, info: SerializationInfo) -> Any:
        return spelled(value, info.context)

    @model_validator(mode="before")
    @classmethod
    def _has_a_way_to_judge(cls, data: Any) -> Any:
        """The router's counts are there to be compared; a probe passes when all answers are good."""
        if not isinstance(data, Mapping) or any(data.get(way) is not None for way in _WAYS):
            return data
        match data.get("provider"):
            case "router" | {"router": _}:
                return {**data, "compare": {}}
            case "probe" | {"probe": _} | Probe():
                return {**data, "success": {"min": 1.0}}
        return data

    @field_validator("interval")
    @classmethod
    def _interval_is_positive(cls, value: float | None) -> float | None:
        if value is not None and value < 0.1:
            raise ValueError("an interval of less than 0.1s would only load the source: write 10s or 1m")
        return value

    @model_validator(mode="after")
    def _can_be_judged(self) -> Metric:
        ranges = self.success is not None or self.failure is not None
        if self.provider == "service":
            self._refuse(self.compare is not None or ranges, "the service says itself whether it is healthy")
            self._refuse_unused(("on_no_data",), "the service always says something")
        elif self._brings_counts:
            self._refuse(ranges, "it brings counts of both versions, use `compare`")
            self._refuse(self.compare is None, "it brings counts of both versions, give `compare: {}`")
        elif self._brings_counts is False:
            self._refuse(
                self.compare is not None,
                "it brings one number, and to compare takes two counts: give `errors` and `requests`",
            )
            self._refuse(
                not ranges, "without `success` or `failure` it could not fail: give one, as {max: 0.9}"
            )
        self._refuse(self.compare is not None and ranges, "either `compare`, or `success` and `failure`")
        if self.compare is not None:
            self._refuse_unused(_LIMITS, "a comparison is judged by all that was counted")
        return self

    @property
    def _brings_counts(self) -> bool | None:
        return self.provider.brings_counts if isinstance(self.provider, Source) else self.provider == "router"

    def _refuse(self, wrong: bool, why: str) -> None:
        if wrong:
            raise ValueError(f"metric {self.name!r}: {why}")

    def _refuse_unused(self, names: tuple[str, ...], why: str) -> None:
        for name in names:
            if name in self.model_fields_set and getattr(self, name) != type(self).model_fields[name].default:
                raise FaultError(f"has no meaning here, as {why}: leave it out", name)

    @property
    def counts(self) -> bool:
        """Whether it compares counts of both versions."""
        return self.compare is not None

    @property
    def needs_users(self) -> bool:
        """Whether it counts what users ask, so that there is nothing to count before they meet the canary."""
        return self.counts and not isinstance(self.provider, Probe)

    @property
    def every_s(self) -> float:
        """Seconds between measurements: ``interval``, or what suits the provider."""
        if self.interval is not None:
            return self.interval
        return self.provider.every_s if isinstance(self.provider, Source) else 10.0

    @property
    def looks_back(self) -> bool:
        """Whether a measurement is about the time since the last one."""
        return isinstance(self.provider, Source) and (self.provider.looks_back or self.needs_users)

    @property
    def delay_s(self) -> float:
        """How far in the past its windows end, in seconds."""
        return self.provider.delay_s if isinstance(self.provider, Source) else 0.0

    @property
    def lead_s(self) -> float:
        """Seconds from when a weight is seen to the first measurement: what looks back waits for a whole window."""
        return self.initial_delay + self.delay_s + (self.every_s if self.looks_back else 0.0)

    @property
    def failures_allowed(self) -> int | None:
        """``failure_limit``; none by default, unless a limit of failures in a row takes its place."""
        if self.failure_limit is None and self.consecutive_failure_limit is not None:
            return None
        return self.failure_limit or 0


_WAYS = ("success", "failure", "compare")
_LIMITS = (
    "failure_limit",
    "consecutive_failure_limit",
    "consecutive_success_limit",
    "inconclusive_limit",
    "on_no_data",
)


# Always on: a canary that stays unhealthy is taken back without a word in the plan.
HEALTH = Metric(name="service", provider="service", consecutive_failure_limit=3)
