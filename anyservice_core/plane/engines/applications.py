"""Turns the ``module:app`` of an application into something that speaks ASGI."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias

from anyservice_core.errors import PlaneError

from .serve_local import is_serve_application, serve_application

__all__ = ["ASGI", "load"]

ASGI: TypeAlias = Any  # callable(scope, receive, send)


def load(application: Mapping[str, Any]) -> ASGI:
    """Import an application and build it. Whatever the user's code raises comes through as it is."""
    target = _import(str(application["import_path"]))
    if _is_builder(target):
        target = target(*_arguments(target, application.get("args") or {}))
    elif application.get("args"):
        raise PlaneError(
            f"args are given, but {application['import_path']} is no function that could take them.",
            hint="Leave args out, or name a function with one parameter that returns the application.",
        )
    if is_serve_application(target):
        return serve_application(target, application)
    if not callable(target):
        raise PlaneError(
            f"{application['import_path']} is a {type(target).__name__}: neither a Serve application nor an ASGI app.",
            hint="Name the object that Deployment.bind() returned, or an ASGI app.",
        )
    return target


def _import(import_path: str) -> Any:
    module, _, attributes = import_path.replace(":", ".", 1).rpartition(".")
    return getattr(_module(module), attributes)


def _module(name: str) -> Any:
    # A module file that was written within the same second as its byte code may be mistaken for it.
    importlib.invalidate_caches()
    return importlib.import_module(name)


def _is_builder(target: Any) -> bool:
    """A plain function of at most one parameter builds the app; an ASGI app takes three."""
    return (
        inspect.isfunction(target)
        and not _is_async(target)
        and len(inspect.signature(target).parameters) <= 1
    )


def _is_async(target: Any) -> bool:
    return inspect.iscoroutinefunction(target)


def _arguments(builder: Any, args: Mapping[str, Any]) -> list[Any]:
    """Give the builder its dict, as the pydantic model that it is annotated with, if it is."""
    parameters = list(inspect.signature(builder, eval_str=True).parameters.values())
    if not parameters:
        return []
    validate = getattr(parameters[0].annotation, "model_validate", None)
    return [validate(dict(args)) if validate else dict(args)]
