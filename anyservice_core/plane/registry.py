"""What was registered on this plane: clouds, projects, compute configs and images.

All of them are names for the one machine that there is. So that whatever a configuration for a larger platform
names can be kept, shown and told apart, they are recorded as they were given; ``catalog`` has those that are there
from the start, and that nobody can remove.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from anyservice_core.errors import ConflictError, NotFoundError
from anyservice_core.models.wire import (
    BuildWire,
    CloudWire,
    ClusterEnvironmentWire,
    ComputeTemplateWire,
    ProjectWire,
)
from anyservice_core.plane import catalog
from anyservice_core.plane.store import Store

__all__ = ["Kept", "Registry"]


class _Wire(Protocol):
    """What all that can be registered has in common."""

    @property
    def id(self) -> str: ...
    def model_dump(self, *, mode: str) -> dict[str, Any]: ...
    @classmethod
    def model_validate(cls, obj: Any) -> Self: ...


T = TypeVar("T", bound=_Wire)


class Kept(Generic[T]):
    """Things of one kind, kept in the store beside those that are always there.

    Args:
        kind: what one of them is called in errors.
    """

    def __init__(self, store: Store, kind: str, model: type[T], always: Sequence[T]) -> None:
        self._store = store
        self._kind = kind
        self._model = model
        self._always = {one.id: one for one in always}

    def all(self) -> list[T]:
        """Give every one, oldest first."""
        kept = self._store.recall(self._note) or {}
        return [*self._always.values(), *(self._model.model_validate(one) for one in kept.values())]

    def get(self, id: str) -> T:
        """Give the one of this id.

        Raises:
            NotFoundError: there is none.
        """
        if (constant := self._always.get(id)) is not None:
            return constant
        kept = (self._store.recall(self._note) or {}).get(id)
        if kept is None:
            raise NotFoundError(f"{self._kind} '{id}' was not found.", status=404)
        return self._model.model_validate(kept)

    def first(self, fits: Callable[[T], bool]) -> T | None:
        """Give the oldest that fits."""
        return next((one for one in self.all() if fits(one)), None)

    def add(self, one: T) -> T:
        """Keep one, in place of the one of its id if there is one."""
        with self._store.transaction():
            kept = self._store.recall(self._note) or {}
            self._store.remember(self._note, {**kept, one.id: one.model_dump(mode="json")})
        return one

    def remove(self, *ids: str) -> None:
        """Forget these.

        Raises:
            ConflictError: one is there always.
        """
        if always := [id for id in ids if id in self._always]:
            raise ConflictError(f"{self._kind} '{always[0]}' is this machine's own, and stays.", status=409)
        with self._store.transaction():
            kept = self._store.recall(self._note) or {}
            self._store.remember(self._note, {id: one for id, one in kept.items() if id not in ids})

    @property
    def _note(self) -> str:
        return f"registered: {self._kind}"


class Registry:
    """All of them, by kind."""

    def __init__(self, store: Store) -> None:
        self.clouds = Kept(store, "Cloud", CloudWire, [catalog.CLOUD])
        self.projects = Kept(store, "Project", ProjectWire, [catalog.PROJECT])
        self.computes = Kept(store, "Compute config", ComputeTemplateWire, [catalog.COMPUTE])
        self.builds = Kept(store, "Image build", BuildWire, [catalog.BUILD])
        self.environments = Kept(store, "Cluster environment", ClusterEnvironmentWire, [catalog.ENVIRONMENT])
