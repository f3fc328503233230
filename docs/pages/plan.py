"""The page of the plan: every field of every part, from the models."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel

from anyservice_core.rollout.orders import OrderKind
from anyservice_core.rollout.plan import RolloutPlan
from pages.words import GENERATED, code, first_line, prose, table, type_name

INTRO = """# The plan

A YAML file, under the key `rollout` or at the top; or the same as a mapping, or as `RolloutPlan`. Durations are
seconds, or texts such as `15m` and `1h30m`. `anyservice rollout plan FILE` checks one and shows it as a timeline.
"""


# Said once for fields that stand in several parts, or whose part says it of all of them together.
_SHARED = {
    "metrics": "what judges the canary at every step, unless a step names its own; its health always does.",
    "name": "what it is called in verdicts, reports and `analysis`.",
    "success": "the range in which a number passes.",
    "failure": "the range in which a number fails.",
    "compare": "hold counts of the canary against those of the primary.",
    "failure_limit": "more failures than this fail the step.",
    "consecutive_failure_limit": "more failures in a row than this fail the step.",
    "consecutive_success_limit": "more successes in a row than this are needed, and then stand.",
    "consecutive_error_limit": "more measurements in a row than this that could not be made are an error.",
    "query": "PromQL that gives one number.",
    "errors": "what gives the bad answers of one version.",
    "requests": "what gives all answers of one version.",
    "value": "a JMESPath to one number.",
    "headers": "sent along.",
    "body": "sent as JSON.",
    "path": "of the service, after its address.",
    "method": "of the request.",
    "min": "the smallest that is in it.",
    "max": "the largest that is in it.",
    "env": "the name of the variable.",
    "prefix": "what stands before its value.",
}


def page() -> str:
    return "\n".join(
        [
            GENERATED,
            INTRO,
            *(_part(part) for part in parts()),
            "## Orders\n",
            f"What people may ask of a rollout that runs: {', '.join(code(kind) for kind in OrderKind)}.\n",
            f"{prose(OrderKind.__doc__)}\n",
        ]
    )


def parts() -> list[type[BaseModel]]:
    """The plan's model and all that it is made of, each once, from the outside in."""
    found: list[type[BaseModel]] = []
    waiting: list[type[BaseModel]] = [RolloutPlan]
    while waiting:
        part = waiting.pop(0)
        if part not in found:
            found.append(part)
            waiting += [inner for info in part.model_fields.values() for inner in models(info.annotation)]
    return found


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models(inner)


def _part(part: type[BaseModel]) -> str:
    rows = [_row(part, name, info) for name, info in part.model_fields.items()]
    if part is RolloutPlan:
        rows.insert(1, (code("bake"), code("duration"), code("0"), meaning(part, "bake")))
    return "\n".join(
        [
            f"## {_title(part)}\n",
            f"{first_line(part.__doc__)}\n",
            table(["field", "type", "default", "meaning"], rows),
            *([rest] if (rest := _rest(part)) else []),
        ]
    )


def _title(part: type[BaseModel]) -> str:
    return {"RolloutPlan": "The whole"}.get(part.__name__, part.__name__)


def _rest(part: type[BaseModel]) -> str:
    """What the docstring says of all of it, after the first line and before the fields."""
    _, _, text = inspect.cleandoc(part.__doc__ or "").partition("\n\n")
    names = "|".join([*part.model_fields, "bake"])
    whole = re.split(rf"(?:^|(?<=[.;] ))``(?:{names})``[:, ]", text, maxsplit=1, flags=re.MULTILINE)[
        0
    ].strip()
    return f"{prose(whole)}\n" if whole else ""


def _row(part: type[BaseModel], name: str, info: Any) -> tuple[str, ...]:
    default = "required" if info.is_required() else _default(info)
    return code(name), code(_type(info)), default, meaning(part, name)


def _type(info: Any) -> str:
    annotation = info.annotation
    if enums := [
        one
        for one in (annotation, *get_args(annotation))
        if inspect.isclass(one) and issubclass(one, StrEnum)
    ]:
        choices = " | ".join(enums[0])
        return f"list of {choices}" if annotation is not enums[0] else choices
    name = re.sub(r"\btuple\[(.*?), \.\.\.\]", r"list of \1", type_name(annotation))
    return (
        name.replace("float", "duration") if "parse_duration" in repr((annotation, info.metadata)) else name
    )


def _default(info: Any) -> str:
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel | Mapping):
        return code("{}")
    if isinstance(value, tuple):
        return code(f"[{', '.join(map(str, value))}]")
    return (
        code("null" if value is None else str(value).lower() if isinstance(value, bool) else str(value))
        if value != ""
        else ""
    )


def meaning(part: type[BaseModel], name: str) -> str:
    """What the docstring says of a field: from its name in double backticks to that of the next."""
    text = " ".join(inspect.cleandoc(part.__doc__ or "").split())
    names = "|".join([*part.model_fields, "bake"])
    spans = re.split(rf"(?:^|(?<=[.;] ))``({names})``(?=[:, ])", text)
    said = dict(zip(spans[1::2], spans[2::2], strict=True))
    return said.get(name, _SHARED.get(name, "")).lstrip(": ").strip().replace("``", "`")
