"""What all models that users write have in common: frozen, strict about names, errors in our words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from anyservice_core.errors import ConfigError

__all__ = ["Checked"]

_SECRET_FIELDS = frozenset({"env_vars"})


class Checked(BaseModel):
    """Frozen, strict about names, and never raises pydantic's own error at a user."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), defer_build=True)

    if not TYPE_CHECKING:  # the type checker shall see the fields, not this

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise _config_error(type(self), error) from None
            if problem := self._problem():
                raise ConfigError(f"{type(self).__name__}: {problem}.")

    def _problem(self) -> str | None:
        """What does not fit together. Asked of what users make, never of what servers have: see ``mapping.py``."""
        return None

    def options(self, **fields: Any) -> Self:
        """A copy with these fields overwritten, checked like a new one."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**own, **fields})

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values; fields that are ``None`` are left out."""
        return self.model_dump(mode="json", exclude_none=True)


def _config_error(kind: type[BaseModel], error: ValidationError) -> ConfigError:
    lines = [_line(kind, detail) for detail in error.errors(include_url=False)]
    said = "; ".join(lines)
    return ConfigError(f"{kind.__name__}: {said}" + ("" if said.endswith(("?", ".")) else "."))


def _line(kind: type[BaseModel], detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if isinstance(nested := (detail.get("ctx") or {}).get("error"), ConfigError):
        return (
            f"{where}.{nested.message.partition(': ')[2].rstrip('.')}"  # without the name of the inner model
        )
    if detail["type"] == "extra_forbidden":
        return f"{where}: no such field{_did_you_mean(where, kind)}"
    if detail["type"] == "missing":
        return f"{where}: missing"
    quote = detail["type"] == "string_type" and not isinstance(detail["input"], dict | list | None)
    said = "must be text; put it in quotes" if quote else str(detail["msg"])
    said = said.removeprefix("Value error, ").rstrip(".")
    if not where:
        return said
    given = detail["input"]
    secret = detail["loc"][0] in _SECRET_FIELDS or not isinstance(given, str | int | float | bool)
    return f"{where}: {said}" if secret else f"{where}: {said}, not {given!r}"


def _did_you_mean(name: str, kind: type[BaseModel]) -> str:
    close = difflib.get_close_matches(name, kind.model_fields, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
