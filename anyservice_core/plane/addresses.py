"""Where the directories of a version are: which its applications name, and which of those are to be fetched.

An address may carry a password or a signature: whatever is told of one goes through ``without_secrets``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from anyservice_core.errors import RejectedError

__all__ = ["bundles_of", "check_remote", "is_remote", "remotes_of", "without_secrets"]


def bundles_of(spec: Mapping[str, Any]) -> set[str]:
    """Give the URIs of the directories that a version's applications are made of; of what was fetched, the bundles'."""
    fetched = spec.get("fetched") or {}
    return {fetched.get(uri, uri) for uri in _named(spec)}


def remotes_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """Give the addresses among them, which are to be fetched, each with the field that names it."""
    return {uri: field for uri, field in _named(spec).items() if is_remote(uri)}


def is_remote(uri: str) -> bool:
    """Say whether it is an address that this plane fetches."""
    return uri[:8].lower() == "https://"


def check_remote(uri: str, field: str) -> None:
    """Refuse an address that nothing can be fetched from, whatever serves there.

    Raises:
        RejectedError: it names no host, or a port that is none.
    """
    with contextlib.suppress(ValueError):  # a port that is none
        parts = urlsplit(uri)
        if parts.hostname and parts.port != 0:
            return
    raise RejectedError(
        f"{field} '{without_secrets(uri)}' is no address that can be fetched.",
        hint="Write it as https://host/path/to.zip.",
        status=422,
    )


def without_secrets(url: str) -> str:
    """Show an address without its user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition(':')[0]}:..."
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _named(spec: Mapping[str, Any]) -> dict[str, str]:
    """Give every directory that is named, and the first field that does."""
    found: dict[str, str] = {}
    for number, application in enumerate(spec["ray_serve_config"].get("applications") or ()):
        environment = application.get("runtime_env") or {}
        for name in ("working_dir", "py_modules"):
            given = environment.get(name) or ()
            for uri in filter(None, [given] if isinstance(given, str) else given):
                found.setdefault(uri, f"applications[{number}].runtime_env.{name}")
    return found
