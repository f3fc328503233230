"""What a run begins with: the journal of an earlier one, if it is about the same build, or a fresh one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyservice_core.models.config import ServiceConfig
from anyservice_core.rollout.identity import rollout_key, version_name
from anyservice_core.rollout.journal import Journal

__all__ = ["resume"]


def resume(
    saved: Journal | Mapping[str, Any] | None, config: ServiceConfig, *, force: bool, at: float
) -> Journal:
    """The journal to go on with; ``config`` is prepared, ``at`` is the time.

    ``force`` tries a build again that was condemned, under a name that sets it apart.
    """
    old = _read(saved)
    attempt = old.attempt if old else 0
    if old is None or old.rollout_key != rollout_key(config, attempt):
        return _fresh(config, 0, at)
    if old.known_bad and force:
        return _fresh(config, attempt + 1, at)
    return old.resumed(at)


def _fresh(config: ServiceConfig, attempt: int, at: float) -> Journal:
    key = rollout_key(config, attempt)
    return Journal.fresh(key, version_name(config, key), attempt, at)


def _read(saved: Journal | Mapping[str, Any] | None) -> Journal | None:
    """A journal is a hint: one that cannot be read is as good as lost."""
    if saved is None or isinstance(saved, Journal):
        return saved
    try:
        return Journal.model_validate(saved)
    except ValueError:
        return None
