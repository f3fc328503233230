"""The providers by the names that plans give them: ``router``, or ``{prometheus: {address: ...}}``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, cast

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticSerializationError
from typing_extensions import TypedDict  # pydantic cannot read the standard one before Python 3.12

from anyservice_core.effects import Op
from anyservice_core.metrics.probe import Expect, Probe, measure_probe
from anyservice_core.metrics.prometheus import Prometheus, measure_prometheus
from anyservice_core.metrics.python import Python, measure_python
from anyservice_core.metrics.reading import Reading, Target
from anyservice_core.metrics.router import measure_router
from anyservice_core.metrics.source import Source
from anyservice_core.metrics.web import Web, measure_web

__all__ = ["ByName", "Provider", "measure", "provider", "spelled"]

Provider: TypeAlias = Literal["service", "router"] | Prometheus | Web | Probe | Python


class ByName(TypedDict, total=False):
    """One of these, with its options: what a plan has, for whoever asks for a schema."""

    prometheus: Prometheus
    web: Web
    probe: Probe
    python: Python | str


_PLAIN: Final = ("service", "router")
_WITH_OPTIONS: Final[Mapping[str, type[Source]]] = {
    kind.name: kind for kind in (Prometheus, Web, Probe, Python)
}
_HOW: Final = f"use {', '.join(_PLAIN)}, or one of {', '.join(_WITH_OPTIONS)} with its options, as {{probe: {{path: /}}}}"


def provider(value: Any) -> Any:
    """The provider that a plan means. Raises ``ValueError``, or ``ValidationError`` for each wrong option."""
    if isinstance(value, Source):
        return value
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no provider: {_HOW}")  # noqa: TRY004  (pydantic reads ValueError)
    if len(value) != 1:
        raise ValueError(f"exactly one provider, not {sorted(map(str, value))}: {_HOW}")
    name, options = next(iter(value.items()))
    if name in _WITH_OPTIONS:
        return _made(_WITH_OPTIONS[name], {} if options is None else options)
    if name not in _PLAIN:
        raise ValueError(f"unknown provider {name!r}: {_HOW}")
    if options:
        raise ValueError(f"the provider {name!r} has no options: write `provider: {name}`")
    return name


def _made(kind: type[Source], options: Any) -> Source:
    if kind is Python and (isinstance(options, str) or callable(options)):
        options = {"call": options}
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        faults = [_fault(kind, fault) for fault in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(kind.name, faults) from None


def _fault(kind: type[Source], fault: Mapping[str, Any]) -> InitErrorDetails:
    """The fault at its place under the provider's name; an unknown option with the one that was meant."""
    loc = (kind.name, *fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = (Expect if "expect" in loc[:-1] else kind).model_fields
        close = difflib.get_close_matches(str(loc[-1]), known, n=1)
        meant = f", did you mean `{close[0]}`?" if close else f": there are {', '.join(known)}"
        wrong = {"type": "value_error", "ctx": {"error": ValueError(f"unknown field{meant}")}}
        return cast("InitErrorDetails", {**wrong, "loc": loc, "input": None})
    return cast("InitErrorDetails", {**fault, "loc": loc})


def spelled(provider: Provider, context: Any = None) -> Any:
    """The provider as plain values, as a plan has it. Raises ``PlanError`` where it cannot be written.

    ``context`` is pydantic's.
    """
    if isinstance(provider, str):
        return provider
    try:
        return {provider.name: provider.model_dump(mode="json", exclude_defaults=True, context=context)}
    except PydanticSerializationError as error:
        raise error.__cause__ or error from None


def measure(provider: Provider, target: Target, *, compare: bool) -> Op[Reading]:
    """One measurement. ``compare``: counts of both versions are wanted, where there is a choice."""
    match provider:
        case Prometheus():
            return measure_prometheus(provider, target)
        case Web():
            return measure_web(provider, target)
        case Probe():
            return measure_probe(provider, target, compare=compare)
        case Python():
            return measure_python(provider, target)
        case _:
            return measure_router(target)
