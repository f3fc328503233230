"""What things may be called."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

__all__ = ["Name"]

Name: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")
]
"""The name of a cloud, a project, a compute config or an image: nothing that a URL, a label or a path could be broken by."""
