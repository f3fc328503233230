"""The page of the Python interface: clients, functions, models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from parity import FUNCTIONS, MODELS
from pydantic import BaseModel

import anyservice_core
from anyservice_core import client
from anyservice_core.client import Operations
from pages.words import GENERATED, code, prose, table, type_name

INTRO = """# Python

Everything is imported from `anyservice_core`, and loaded when it is first used. The functions of
`anyservice_core.service` are the reference's; `Client` and `AsyncClient` have the same as methods, and `AsyncClient`'s are
awaited.

Each parameter and field that the reference documents has a row, and a test compares names and defaults. Rows without
"yes" are ours.
"""

ENUMS = ("DeployAction", "ServiceState", "ServiceVersionState", "ServiceSortField", "SortOrder")
OTHERS = (
    "ServiceCheck",
    "ServiceId",
    "DeployPreview",
    "ResultIterator",
    "AsyncResultIterator",
    "RolloutPlan",
    "RolloutReport",
    "Backtest",
    "Journal",
)
SHOWN = (
    "deploy",
    "preview",
    "status",
    "wait",
    "shift",
    "prepare",
    "list",
    "rollback",
    "take_back",
    "terminate",
    "archive",
    "delete",
    "rollout",
    "backtest",
)


def page() -> str:
    return "\n".join(
        [
            GENERATED,
            INTRO,
            *_clients(),
            "## Operations\n",
            *(_operation(name) for name in SHOWN),
            "## Models\n",
            *(_model(name) for name in (*MODELS, *OTHERS)),
            *(_enum(name) for name in ENUMS),
        ]
    )


def _clients() -> Iterator[str]:
    yield "## Clients\n"
    for kind in (client.Client, client.AsyncClient):
        yield f"### {kind.__name__}\n"
        yield f"```python\n{_signature(kind.__name__, kind.__init__)}\n```\n"
        yield f"{prose(kind.__doc__)}\n"


def _signature(name: str, function: Callable[..., Any]) -> str:
    """As it is written, a parameter a line."""
    signature = inspect.signature(function)
    lines: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*," not in lines:
            lines.append("*,")
        lines.append(f"{parameter.name}: {type_name(parameter.annotation)}{_default(parameter)},")
    inside = "".join(f"    {line}\n" for line in lines)
    return f"{name}(\n{inside})"


def _default(parameter: inspect.Parameter) -> str:
    return "" if parameter.default is parameter.empty else f" = {parameter.default!r}"


def _operation(name: str) -> str:
    function = getattr(Operations, name).function
    rows = [_parameter_row(name, parameter) for parameter in inspect.signature(function).parameters.values()]
    return "\n".join(
        [
            f"### {name}\n",
            f"{prose(function.__doc__)}\n",
            table(["parameter", "type", "default", "in the reference"], rows),
        ]
    )


def _parameter_row(name: str, parameter: inspect.Parameter) -> tuple[str, ...]:
    required = parameter.default is parameter.empty
    documented = parameter.name in FUNCTIONS.get(name, {})
    default = "required" if required else code(repr(parameter.default))
    return code(parameter.name), code(type_name(parameter.annotation)), default, "yes" if documented else ""


def _model(name: str) -> str:
    kind = getattr(anyservice_core, name)
    parts = [f"### {name}\n", f"{prose(kind.__doc__)}\n"]
    if issubclass(kind, BaseModel):
        rows = [_field_row(name, field, info) for field, info in kind.model_fields.items()]
        parts.append(table(["field", "type", "default", "in the reference"], rows))
        methods = [one for one in ("options", "to_dict", "from_yaml", "parse") if hasattr(kind, one)]
        parts.append("Methods: " + ", ".join(code(f"{one}()") for one in methods) + ".\n")
    return "\n".join(parts)


def _field_row(name: str, field: str, info: Any) -> tuple[str, ...]:
    default = "required" if info.is_required() else code(repr(info.default))
    return (
        code(field),
        code(type_name(info.annotation)),
        default,
        "yes" if field in MODELS.get(name, ()) else "",
    )


def _enum(name: str) -> str:
    kind: type[StrEnum] = getattr(anyservice_core, name)
    return f"### {name}\n\n{prose(kind.__doc__)}\n\n{', '.join(code(member) for member in kind)}.\n"
