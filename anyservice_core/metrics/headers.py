"""Headers of requests to metric stores. A secret among them is named in a plan, and read when it is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from anyservice_core.effects import Call, Op
from anyservice_core.metrics.asking import UnreadableError

__all__ = ["FromEnv", "Headers", "resolved", "sounds_secret"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET = re.compile(
    r"auth|cookie|token|secret|passw|credential|signature|api.?key|access.?key|\bkey\b", re.IGNORECASE
)
_HOW = "write a text, or {env: NAME} for the value of an environment variable"


class FromEnv(BaseModel):
    """A value that is read from the environment at each measurement, where the measuring is done, and kept nowhere.

    ``env``: the name of the variable. ``prefix``: what stands before its value, as "Bearer ".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    prefix: str = ""


def sounds_secret(name: str) -> bool:
    """Whether what goes by this name is not for a plan, which is kept, shown and logged."""
    return _SECRET.search(name) is not None


def _headers(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError("headers are a mapping, as {X-Tenant: shop}")  # noqa: TRY004  (pydantic reads ValueError)
    return {_named(name): _header(name, content) for name, content in value.items()}


def _named(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    return name


def _header(name: str, content: Any) -> str | FromEnv:
    if isinstance(content, FromEnv):
        return content
    if isinstance(content, Mapping):
        try:
            return FromEnv.model_validate(content)
        except ValidationError:
            raise ValueError(
                f"{name}: {_HOW}, with {{env: NAME, prefix: 'Bearer '}} where it needs one"
            ) from None
    if not isinstance(content, str):
        raise ValueError(f"{name}: {_HOW}")  # noqa: TRY004
    if sounds_secret(name):
        raise ValueError(
            f"{name}: a secret in a plan would end up in logs: write {{env: NAME}}, which names it"
        )
    if not _is_sendable(content):
        raise ValueError(f"{name}: a header holds printable ASCII characters only")
    return content


Headers: TypeAlias = Annotated[Mapping[str, str | FromEnv], BeforeValidator(_headers)]


def resolved(headers: Mapping[str, str | FromEnv]) -> Op[dict[str, str]]:
    """The headers with their values. Raises ``UnreadableError`` for a variable that is not there."""
    values = {}
    for name, content in headers.items():
        values[name] = content if isinstance(content, str) else (yield from _from_env(name, content))
    return values


def _from_env(name: str, content: FromEnv) -> Op[str]:
    value: str | None = yield from Call(os.environ.get, (content.env,))
    if not (value := (value or "").strip()):
        raise UnreadableError(
            f"the header {name} needs the environment variable {content.env}, which is not set here"
        )
    if not _is_sendable(value):  # the error of whoever sends it would show it
        raise UnreadableError(
            f"the environment variable {content.env} holds characters that no header may hold"
        )
    return content.prefix + value


def _is_sendable(value: str) -> bool:
    return value.isascii() and value.isprintable()
