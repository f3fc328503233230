"""One artifact of a run: made when it is first written to, changed after that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

from prefect_tasks.line import line

__all__ = ["Sheet"]


class Sheet:
    """The artifact of type ``kind`` under ``key``, of the run that it is first written in."""

    def __init__(self, kind: str, key: str) -> None:
        self._kind = kind
        self._key = key
        self._id: UUID | None = None

    def write(self, data: str | float, description: str | None = None) -> None:
        """Put ``data`` there in place of what was there."""
        said = {} if description is None else {"description": description}
        if self._id is None:
            self._id = line().create_artifact(self._first(data, said)).id
        else:
            line().update_artifact(self._id, ArtifactUpdate(data=data, **said))

    def _first(self, data: str | float, said: dict[str, str]) -> ArtifactCreate:
        runs: dict[str, Any] = {"task_run_id": runtime.task_run.id, "flow_run_id": runtime.flow_run.id}
        return ArtifactCreate(type=self._kind, key=self._key, data=data, **said, **runs)
