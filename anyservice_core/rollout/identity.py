"""How a rollout recognises its own version: a name made of what is rolled out, and of nothing else.

The name goes to the server as ``version_name`` and comes back in every status. So a run that knows
nothing, after a crash or on another machine, finds its canary again, and never takes a stranger's
for its own. Run identifiers, times and hosts have no place in it.
"""

from __future__ import annotations

import hashlib
import json

from anyservice_core.models.config import ServiceConfig

__all__ = ["rollout_key", "version_name"]

_LENGTH = 10


def rollout_key(config: ServiceConfig, attempt: int = 0) -> str:
    """A short hash of the prepared ``config`` (local folders replaced by URIs), its cloud and project.

    ``attempt`` sets a forced second try of the same build apart from the first.
    """
    content = {**config.to_dict(), "version_name": None, "attempt": attempt}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def version_name(config: ServiceConfig, key: str) -> str:
    """The name of the version: the user's own, if there is one, and the key."""
    return f"{config.version_name or 'r'}-{key}"
