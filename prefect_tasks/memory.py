"""What a rollout remembers from run to run: an artifact of its service, so that any worker can read it.

A hint, as the core's journal is: losing it costs the present step's bake, or a second try of a version that
was taken back. So nothing that goes wrong here stops a rollout.
"""

from __future__ import annotations

import json
from typing import Any, Final

from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from pydantic import BaseModel

from prefect_tasks.line import line
from prefect_tasks.sheets import Sheet

__all__ = ["Memory", "latest"]

# Prefect's UI shows every other type on the page of the run: one that it does not know as "unknown".
_UNSHOWN: Final = "result"
_WHAT: Final = "What the rollout remembers, for the next run to go on from."


class Memory:
    """The journal under ``key``. Each run writes an artifact of its own, and begins with the latest of all runs."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._sheet = Sheet(_UNSHOWN, key)

    def recall(self) -> Any:
        """Give the journal of the run before; ``None`` if there was none."""
        found = latest(self._key)
        data = found.data if found is not None else None
        return json.loads(data) if isinstance(data, str) else data

    def keep(self, journal: BaseModel) -> None:
        """Write it down."""
        self._sheet.write(journal.model_dump_json(), _WHAT)


def latest(key: str) -> Artifact | None:
    """Give the artifact of this key that was written last, by whichever run."""
    mine = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    found = line().read_artifacts(artifact_filter=mine, sort=ArtifactSort.UPDATED_DESC, limit=1)
    return found[0] if found else None
