"""Applications that could never start are refused before anything is written, by the name of the field."""

from __future__ import annotations

import re
from typing import Any

from anyservice_core.errors import RejectedError
from anyservice_core.plane.bundles import Bundles

__all__ = ["check_applications"]


def check_applications(applications: Any, bundles: Bundles) -> None:
    """Look at ``ray_serve_config.applications``.

    Raises:
        RejectedError: one has another shape, or names a directory that this plane does not have.
    """
    if not applications:
        raise RejectedError("ray_serve_config.applications is empty: give at least one.", status=422)
    for number, application in enumerate(_is(applications, list, "ray_serve_config.applications")):
        _check(application, f"applications[{number}]", bundles)


def _check(application: Any, where: str, bundles: Bundles) -> None:
    import_path = str(_is(application, dict, where).get("import_path", ""))
    if not re.fullmatch(r"[\w.]+:[\w.]+", import_path):
        raise RejectedError(
            f"{where}.import_path is '{import_path}'.", hint="Write it as 'module:attribute'.", status=422
        )
    environment = _is(application.get("runtime_env") or {}, dict, f"{where}.runtime_env")
    if working_dir := environment.get("working_dir"):
        field = f"{where}.runtime_env.working_dir"
        bundles.check(_is(working_dir, str, field), field=field)
    field = f"{where}.runtime_env.py_modules"
    for module in _is(environment.get("py_modules") or [], list, field):
        bundles.check(_is(module, str, field), field=field)


_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}


def _is(value: Any, kind: type, field: str) -> Any:
    if not isinstance(value, kind):
        raise RejectedError(f"{field} is not {_KINDS[kind]}.", status=422)
    return value
