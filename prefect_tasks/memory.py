"""What a rollout remembers from run to run: an artifact of its service, so that any worker can read it.

A hint, as the core's journal is: losing it costs the present step's bake, or a second try of a version that
was taken back. So nothing that goes wrong here stops a rollout.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.artifacts import Artifact
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.objects import Artifact as Kept
from pydantic import BaseModel

__all__ = ["Memory"]


class Memory:
    """The journal under ``key``. Each run writes an artifact of its own, and begins with the latest of all runs."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._mine: UUID | None = None

    def recall(self) -> Any:
        """Give the journal of the run before; ``None`` if there was none."""
        read: Any = Artifact.get
        return _content(read(self._key, _sync=True))

    async def arecall(self) -> Any:
        """Give the same to asynchronous code."""
        return _content(await Artifact.aget(self._key))

    def keep(self, journal: BaseModel) -> None:
        """Write it down."""
        if self._mine is None:
            create: Any = self._artifact(journal).create
            self._mine = create(_sync=True).id
            return
        with get_client(sync_client=True) as client:
            client.update_artifact(self._mine, ArtifactUpdate(data=journal.model_dump_json()))

    async def akeep(self, journal: BaseModel) -> None:
        """Write it down from asynchronous code."""
        if self._mine is None:
            self._mine = (await self._artifact(journal).acreate()).id
            return
        async with get_client() as client:
            await client.update_artifact(self._mine, ArtifactUpdate(data=journal.model_dump_json()))

    def _artifact(self, journal: BaseModel) -> Artifact:
        what = "What the rollout remembers, for the next run to go on from."
        return Artifact(type="journal", key=self._key, description=what, data=journal.model_dump(mode="json"))


def _content(found: Any) -> Any:
    data = found.data if isinstance(found, Kept) else None
    return json.loads(data) if isinstance(data, str) else data
