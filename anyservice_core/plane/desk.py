"""What the handlers of all endpoints share: the store, the uploads, the time, and one way to change a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from anyservice_core.errors import NotFoundError
from anyservice_core.plane import catalog
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.changes import Birth
from anyservice_core.plane.fetching import Fetcher
from anyservice_core.plane.registry import Registry
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import Event, Store

__all__ = ["Desk"]


@dataclass
class Desk:
    """Where requests are dealt with.

    Args:
        token: what a client must show, as the cookie ``cli_token`` or as a bearer token.
        clock: seconds since the epoch.
        engine: name of the engine that new versions get.
        pick_port: gives a free port for a new service, given those that are taken.
        check_room: raises ``ConflictError`` if there is no room for one more version on the engine of this name.
        on_change: called after a change was written, so that the loop need not wait for its tick.
    """

    store: Store
    bundles: Bundles
    token: str = field(repr=False)
    clock: Callable[[], float]
    engine: str
    pick_port: Callable[[set[int]], int]
    on_change: Callable[[], None] = lambda: None
    check_room: Callable[[str], None] = lambda _: None

    @cached_property
    def registry(self) -> Registry:
        """Clouds, projects, compute configs and images: those of this machine, and those that were registered."""
        return Registry(self.store)

    @cached_property
    def fetcher(self) -> Fetcher:
        """Fetches the zips that versions are made of."""
        return Fetcher(self.bundles)

    def find(self, service_id: str) -> Service:
        """Give a service.

        Raises:
            NotFoundError: there is none of this id.
        """
        service = self.store.service(service_id)
        if service is None:
            raise NotFoundError(f"Service with id '{service_id}' was not found.", status=404)
        return service

    def birth(self, project_id: str | None = None, fetched: Mapping[str, str] | None = None) -> Birth:
        """Give what a new service or version in this project needs.

        Raises:
            NotFoundError: there is no such project.
        """
        project = self.registry.projects.get(project_id or catalog.PROJECT.id)
        return Birth(
            now=self.clock(),
            engine=self.engine,
            cloud_id=project.parent_cloud_id or catalog.CLOUD.id,
            project_id=project.id,
            pick_port=lambda: self.pick_port(self.store.ports()),
            check_room=lambda: self.check_room(self.engine),
            fetched=fetched or {},
        )

    def change(self, service_id: str, move: Callable[[Service], Service], kind: str) -> Service:
        """Read, move and write one service in one transaction, and note it."""
        with self.store.transaction():
            service = move(self.find(service_id)).replace(updated_at=self.clock())
            self.store.save(service)
            self.store.note(Event(service.id, self.clock(), kind, f"{kind} {service.name}"))
        self.on_change()
        return service
