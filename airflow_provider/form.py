"""The connection's form for an Airflow that asks the hook for it (before 3.2): the fields of ``get_provider_info``, as widgets."""

from __future__ import annotations

from typing import Any

from airflow_provider import get_provider_info

__all__ = ["behaviour", "widgets"]


def widgets() -> dict[str, Any]:
    """Each field by its name in the connection's extras. Airflow's server has the libraries that they are made of."""
    return {name: _widget(field) for name, field in _kind()["conn-fields"].items()}


def behaviour() -> dict[str, Any]:
    """What of Airflow's own fields is hidden, renamed and explained."""
    told: dict[str, Any] = _kind()["ui-field-behaviour"]
    return {name.replace("-", "_"): value for name, value in told.items()}


def _kind() -> dict[str, Any]:
    kind: dict[str, Any] = get_provider_info()["connection-types"][0]
    return kind


def _widget(field: dict[str, Any]) -> Any:
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found]
    from wtforms import BooleanField, StringField  # type: ignore[import-untyped]

    schema = field["schema"]
    if schema["type"] == "boolean":
        return BooleanField(field["label"], default=schema.get("default"))
    default = schema.get("default")
    return StringField(
        field["label"],
        widget=BS3TextFieldWidget(),
        description=field.get("description", ""),
        default=None if default is None else str(default),
    )
