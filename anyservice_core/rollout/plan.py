"""The plan: which weights, for how long, judged by what, and what to do when it goes wrong.

    rollout:
      steps: [5, 25, 50]          # percent of the traffic; the promotion to 100 follows the last
      bake: 15m                   # how long each weight is watched
      metrics:
        - {name: errors, provider: router}

A plan is checked whole when it is read, and every fault is reported at once as a ``PlanError``
that names field, value, line and way out. What is not known is refused, never ignored: a gate that
silently stays open is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from anyservice_core.rollout.duration import Duration
from anyservice_core.rollout.ladders import ladder
from anyservice_core.rollout.metric import HEALTH, FaultError, Metric, Part
from anyservice_core.rollout.orders import PROMOTION
from anyservice_core.rollout.windows import Window

__all__ = ["Approval", "OnDrift", "OnInconclusive", "OnTimeout", "OnTrouble", "RolloutPlan", "Step"]


class OnTrouble(StrEnum):
    """What to do when the canary failed, or could not be measured."""

    ROLLBACK = "rollback"
    PAUSE = "pause"


class OnInconclusive(StrEnum):
    """What to do when the bake is over and the numbers do not say enough."""

    PAUSE = "pause"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class OnDrift(StrEnum):
    """What to do when someone else moved the weight."""

    PAUSE = "pause"
    ROLLBACK = "rollback"


class OnTimeout(StrEnum):
    """What to do when nobody has approved in time."""

    ROLLBACK = "rollback"
    PAUSE = "pause"
    PROMOTE = "promote"


class Approval(Part):
    """A person must say yes.

    ``timeout``: seconds that they have for it, from when they are asked; ``None``: for ever.
    ``on_timeout``: ``rollback``, ``pause``, or go on as if they had (``promote``).
    """

    timeout: Annotated[Duration, Field(gt=0)] | None = None
    on_timeout: OnTimeout = OnTimeout.ROLLBACK


def _approval(value: Any) -> Any:
    if isinstance(value, bool):
        return {} if value else None
    return value


# ``true`` is an approval without a timeout.
_Approval: TypeAlias = Annotated[
    Approval | None, BeforeValidator(_approval, json_schema_input_type=Approval | bool | None)
]


class Step(Part):
    """One weight of the canary, and how long it is watched there.

    ``weight``: percent of the traffic, 0 to 99. ``bake``: seconds, from when the weight is seen
    on the server. ``analysis``: names of the metrics that judge this step; ``None`` means all,
    save comparisons at weight 0, where no user's request could be compared. ``approval``: a person
    must say yes after the bake, before the weight moves on.
    """

    weight: Annotated[int, Field(ge=0, le=99, strict=True)]
    bake: Duration = 0.0
    analysis: tuple[str, ...] | None = None
    approval: _Approval = None


# The short forms are spelled out before; a form that is drawn from the schema shall offer them too.
_Steps: TypeAlias = Annotated[
    tuple[Step, ...],
    BeforeValidator(lambda steps: steps, json_schema_input_type=tuple[Step | int, ...] | str),
]


def _with_bake(schema: dict[str, Any]) -> None:
    bake = {
        "title": "Bake",
        "description": "How long each step is watched that does not say so itself.",
        "anyOf": [{"type": "number"}, {"type": "string"}],
    }
    schema["properties"] = {"steps": schema["properties"]["steps"], "bake": bake, **schema["properties"]}


class RolloutPlan(Part):
    """A progressive rollout. Durations are seconds, or texts such as ``15m``.

    ``steps``: weights that strictly increase; a bare number is a step of that weight, a word such as
    ``canary10percent30minutes`` a whole ladder. Empty: promote at once. ``bake``: of the steps that have
    none of their own. ``promotion``: a person must say yes before 100. ``windows``: when it may start, advance
    and promote. ``progress_deadline``: how long one change of weight may take, bakes and gates not counted.
    ``max_surge_percent``: excess capacity while updating, and while a canary is taken back: below 100, its traffic
    goes back no faster than there is capacity for it.

    ``on_failure``: what to do when the canary failed. ``on_inconclusive``: when the bake is over and the numbers
    do not say enough; ``promote`` goes on as if they had. ``on_error``: when it could not be measured, the bake
    being over. ``on_drift``: when someone else moved the weight.
    """

    model_config = ConfigDict(json_schema_extra=_with_bake)

    steps: _Steps
    metrics: tuple[Metric, ...] = ()
    progress_deadline: Duration = 1_800.0
    on_failure: OnTrouble = OnTrouble.ROLLBACK
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    on_error: OnTrouble = OnTrouble.PAUSE
    on_drift: OnDrift = OnDrift.PAUSE
    max_surge_percent: Annotated[int, Field(ge=0, le=100, strict=True)] | None = None
    promotion: _Approval = None
    windows: tuple[Window, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, data: Any) -> Any:
        """Turn ``[5, 25]`` into steps, and a shared ``bake`` into each step's own."""
        if not isinstance(data, Mapping):
            return data
        full = {str(key): value for key, value in data.items() if key != "bake"}
        if isinstance(steps := full.get("steps"), str):
            full["steps"] = _in_a_word(steps, data.get("bake"))
        elif isinstance(steps, list | tuple):
            full["steps"] = [_spelled_out(step, data.get("bake")) for step in steps]
        return full

    @model_validator(mode="after")
    def _steps_climb(self) -> RolloutPlan:
        for index, (before, after) in enumerate(pairwise(self.weights), start=1):
            if after <= before:
                raise FaultError(
                    f"{after} after {before}: weights must strictly increase, since the weight tells how far a "
                    "rollout has come; sort the steps",
                    *("steps", index, "weight"),
                )
        return self

    @model_validator(mode="after")
    def _metrics_are_known(self) -> RolloutPlan:
        names: set[str] = set()
        for index, metric in enumerate(self.metrics):
            if metric.name in names:
                raise FaultError(
                    f"{metric.name!r} twice: give each a name of its own", "metrics", index, "name"
                )
            if metric.name == HEALTH.name and metric.provider != HEALTH.provider:
                raise FaultError(
                    f"{metric.name!r} is the health that is always measured: give it another name",
                    *("metrics", index, "name"),
                )
            names.add(metric.name)
        for index, step in enumerate(self.steps):
            for name in step.analysis or ():
                if name not in {*names, HEALTH.name}:
                    known = ", ".join(sorted({*names, HEALTH.name}))
                    raise FaultError(f"{name!r} is no metric: there are {known}", "steps", index, "analysis")
        return self

    @classmethod
    def parse(cls, source: RolloutPlan | Mapping[str, Any] | str | Path) -> RolloutPlan:
        """A plan from a plan, a mapping (with ``rollout`` as its only key, or without), or the path of a YAML file.

        Raises ``PlanError``.
        """
        from anyservice_core.rollout.planfile import parse, read

        if isinstance(source, RolloutPlan):
            return source
        return read(source) if isinstance(source, str | Path) else parse(source)

    @classmethod
    def from_yaml(cls, path: str | Path) -> RolloutPlan:
        """The plan in a YAML file, under the key ``rollout`` or at the top. Raises ``PlanError``."""
        return cls.parse(path)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, fit for JSON and for ``parse``."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def __str__(self) -> str:
        """The plan as a file would have it."""
        import yaml

        text: str = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        return text.rstrip()

    @property
    def judges(self) -> tuple[Metric, ...]:
        """All metrics, with the one that is always on."""
        has_health = any(metric.provider == "service" for metric in self.metrics)
        return self.metrics if has_health else (HEALTH, *self.metrics)

    def step_at(self, weight: int) -> Step | None:
        """The step that a canary at ``weight`` is on: the last that is not above it, else the first."""
        reached = [step for step in self.steps if step.weight <= weight]
        return reached[-1] if reached else (self.steps[0] if self.steps else None)

    def next_weight(self, weight: int) -> int | None:
        """The weight that follows ``weight``; ``None`` when only the promotion is left."""
        return next((step.weight for step in self.steps if step.weight > weight), None)

    @property
    def weights(self) -> tuple[int, ...]:
        return tuple(step.weight for step in self.steps)

    @property
    def first_weight(self) -> int:
        """What the canary is deployed with: the first step's weight, or 100 where there are no steps."""
        return self.steps[0].weight if self.steps else 100

    @property
    def bake_s(self) -> float:
        """Seconds that all steps bake together: the least that the rollout takes."""
        return sum(step.bake for step in self.steps)

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of the gates at which people are asked, in order: a step's weight, or ``promotion``."""
        asked = [str(step.weight) for step in self.steps if step.approval]
        return (*asked, PROMOTION) if self.promotion else tuple(asked)

    @property
    def longest_s(self) -> float | None:
        """The most seconds that it takes: all bakes, each change of weight at its slowest, and people's time to answer.

        ``None`` where people or the time of day may hold it for ever.
        """
        people = [approval.timeout for approval in self.approvals]
        if self.windows or None in people:
            return None
        held_s = sum(timeout or 0.0 for timeout in people)
        return self.bake_s + held_s + (len(self.steps) + 2) * self.progress_deadline

    @property
    def approvals(self) -> tuple[Approval, ...]:
        """All that people are asked for, in order."""
        asked = (*(step.approval for step in self.steps), self.promotion)
        return tuple(approval for approval in asked if approval is not None)


def _in_a_word(steps: str, bake: Any) -> list[dict[str, Any]]:
    try:
        rungs = ladder(steps)
    except ValueError as error:
        raise FaultError(str(error), "steps") from None
    if rungs and bake is not None:
        raise FaultError(f"{steps!r} says already how long each step is watched: leave it out", "bake")
    return rungs


def _spelled_out(step: Any, bake: Any) -> Any:
    if isinstance(step, int) and not isinstance(step, bool):
        step = {"weight": step}
    if isinstance(step, Mapping) and bake is not None:
        return {"bake": bake, **step}
    return step
