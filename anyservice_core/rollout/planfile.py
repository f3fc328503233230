"""Reading a plan so that whoever wrote it learns what to mend, and on which line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from pydantic import BaseModel, ValidationError

from anyservice_core.errors import PlanError
from anyservice_core.models.yamlfile import tried
from anyservice_core.rollout.plan import RolloutPlan

__all__ = ["parse", "read"]

Path_: TypeAlias = tuple[str | int, ...]
_ROOT = "rollout"


def read(path: str | Path) -> RolloutPlan:
    """The plan in the YAML file at ``path``."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PlanError(f"There is no plan file {str(path)!r}.", hint=tried(path)) from None
    except OSError as error:
        raise PlanError(
            f"Cannot read the plan file {str(path)!r}: {error.strerror}.", hint=tried(path)
        ) from None
    except UnicodeDecodeError as error:
        raise PlanError(f"Cannot read the plan file {str(path)!r}: {error}.") from None
    return _parse_yaml(text, str(path))


def _parse_yaml(text: str, name: str) -> RolloutPlan:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PlanError(f"{name} is not valid YAML: {_where(error)}") from None
    return parse(data, name=name, node=node)


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}." if mark else f"{problem}."


def parse(data: Any, *, name: str = "the plan", node: yaml.Node | None = None) -> RolloutPlan:
    """The plan in plain values; ``node`` is the YAML they came from, if any, for the lines of errors."""
    if not isinstance(data, Mapping):
        raise PlanError(
            f"{name} holds {_kind(data)} where a mapping is needed.", hint="Begin with `steps: [5, 25, 50]`."
        )
    prefix: Path_ = ()
    if _ROOT in data:
        _refuse_neighbours(data, name)
        data, prefix = data[_ROOT], (_ROOT,)
    try:
        return RolloutPlan.model_validate(data)
    except ValidationError as error:
        raise PlanError(_message(name, _faults(error, prefix, node))) from None


def _refuse_neighbours(data: Mapping[str, Any], name: str) -> None:
    others = sorted(str(key) for key in data if key != _ROOT)
    if others:
        raise PlanError(
            f"{name}: beside `{_ROOT}` stands {', '.join(f'`{other}`' for other in others)}.",
            hint=f"Indent it to put it under `{_ROOT}`, or remove it.",
        )


def _message(name: str, faults: Sequence[str]) -> str:
    if len(faults) == 1:
        return f"{name}: {faults[0]}"
    return "\n  ".join([f"{name} has {len(faults)} faults:", *faults])


def _faults(error: ValidationError, prefix: Path_, node: yaml.Node | None) -> list[str]:
    """One line a fault; of several choices that were tried for one value, the first."""
    first: dict[Path_, str] = {}
    for fault in error.errors(include_url=False):
        loc = _place(fault)
        line = _line(node, prefix + loc)
        first.setdefault(loc, f"{_dotted(loc)}{_text(fault, loc)}{f' (line {line})' if line else ''}")
    return list(first.values())


def _place(fault: Mapping[str, Any]) -> Path_:
    inner = getattr(fault.get("ctx", {}).get("error"), "where", ())
    return (*(part for part in fault["loc"] if not _is_tag(part)), *inner)


def _is_tag(part: str | int) -> bool:
    """Whether pydantic put this into the place of an error to say which choice of several it tried."""
    return isinstance(part, str) and part.startswith(("by-name", "constrained-", "literal["))


def _dotted(loc: Path_) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    return f"{text}: " if text else ""


_WANTED = {
    "tuple_type": "a list is needed",
    "model_type": "a mapping of fields is needed",
    "mapping_type": "a mapping of fields is needed",
    "missing": "is needed and not there",
}


def _text(fault: Mapping[str, Any], loc: Path_) -> str:
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    if fault["type"] == "extra_forbidden":
        return f"unknown field{_nearest(str(fault['loc'][-1]), loc)}"
    if fault["type"] == "missing":
        return _WANTED["missing"]
    if fault["type"] == "model_type" and loc[:1] == ("steps",):
        return f"{_kind(fault['input'])} is no step: write a weight, as 5, or {{weight: 5, bake: 15m}}"
    message = _WANTED.get(fault["type"]) or fault["msg"][0].lower() + fault["msg"][1:]
    return f"{_kind(fault['input'])}: {message.replace('input should', 'it should')}"


def _nearest(name: str, loc: Path_) -> str:
    known = sorted(_fields(RolloutPlan, loc[:-1]))
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean `{close[0]}`?" if close else f": there are {', '.join(known)}"


def _fields(model: type[BaseModel], loc: Path_) -> Iterable[str]:
    """Names that may stand at ``loc``, found by walking the models along it."""
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = [*_models(model.model_fields[part].annotation), model][0]
    return {*model.model_fields, *(["bake"] if model is RolloutPlan else [])}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"{value!r}"


def _line(node: yaml.Node | None, loc: Path_) -> int | None:
    """The line of the deepest part of ``loc`` that the file has."""
    line = None
    while node is not None:
        line = node.start_mark.line + 1
        if not loc:
            break
        key, node = _child(node, loc[0])
        line = key.start_mark.line + 1 if key is not None else line
        loc = loc[1:]
    return line


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None
