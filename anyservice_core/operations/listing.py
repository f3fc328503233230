"""Lists of services, a page at a time. Names of clouds and projects are looked up once, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyservice_core.effects import Op
from anyservice_core.errors import ConfigError
from anyservice_core.models.enums import ServiceSortField, ServiceState, SortOrder
from anyservice_core.models.iterator import Page
from anyservice_core.models.mapping import status_from_wire
from anyservice_core.models.status import ServiceStatus
from anyservice_core.models.wire import ServiceWire
from anyservice_core.operations import directory
from anyservice_core.operations.lookup import SERVICES, by_id
from anyservice_core.operations.paging import PAGE_SIZE, page

__all__ = ["Listing", "listing"]


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where the next page is: the question with names resolved, and the server's token."""

    params: dict[str, Any]
    token: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that has been asked for and not yet fetched."""

    params: dict[str, Any]
    service_id: str | None
    cloud: str | None
    project: str | None
    created_by_me: bool
    max_items: int | None

    def page(self, cursor: _Cursor | None) -> Op[Page[ServiceStatus]]:
        """The first page for ``None``, then whatever the page before says follows."""
        if self.service_id is not None:
            return Page((yield from self._shown([(yield from by_id(self.service_id))])))
        params = cursor.params if cursor else (yield from self._resolved())
        # One odd service shall not hide all others; a look-up by name does not forgive, as it may miss the one meant.
        answer = yield from page(
            SERVICES, ServiceWire, params, cursor.token if cursor else None, forgiving=True
        )
        token = answer.metadata.next_paging_token if answer.results else None
        services = yield from self._shown(answer.results)
        return Page(services, _Cursor(params, token) if token else None)

    def _shown(self, found: Sequence[ServiceWire]) -> Op[tuple[ServiceStatus, ...]]:
        """As users read them, with what people call their projects: each is asked for once."""
        names = yield from directory.project_names((one.project_id for one in found), self.project)
        return tuple(status_from_wire(one, project=names.get(one.project_id)) for one in found)

    def _resolved(self) -> Op[dict[str, Any]]:
        params = dict(self.params)
        if self.created_by_me:
            params["creator_id"] = (yield from directory.me()).id
        if self.cloud is not None or self.project is not None:
            params |= yield from directory.place(self.cloud, self.project)
        return params


def listing(
    *,
    service_id: str | None = None,
    name: str | None = None,
    state_filter: Iterable[str | ServiceState] | None = None,
    creator_id: str | None = None,
    created_by_me: bool = False,
    cloud: str | None = None,
    project: str | None = None,
    include_archived: bool = False,
    tags_filter: Mapping[str, Iterable[str]] | None = None,
    max_items: int | None = None,
    page_size: int | None = None,
    sort_field: str | ServiceSortField | None = None,
    sort_order: str | SortOrder | None = None,
) -> Listing:
    """List services, or the one with ``service_id``. Pages are fetched when they are read.

    ``name`` matches any part of a service's name; ``state_filter`` takes states in any case;
    ``tags_filter`` gives for each key the values of which one must fit;
    ``max_items`` limits the whole list and ``page_size`` (1 to 50) one request;
    ``sort_field`` is NAME, STATUS or CREATED_AT and ``sort_order`` ASC or DESC.
    A page costs one request, and one for each project that is new to the client.
    """
    params = {
        "name": name,
        "state_filter": [_choice("state_filter", state, ServiceState) for state in state_filter or ()]
        or None,
        "archive_status": "ALL" if include_archived else "NOT_ARCHIVED",
        "creator_id": creator_id,
        "tag_filter": [f"{key}:{value}" for key, values in (tags_filter or {}).items() for value in values]
        or None,
        "sort_field": sort_field and _choice("sort_field", sort_field, ServiceSortField),
        "sort_order": sort_order and _choice("sort_order", sort_order, SortOrder),
        "count": _page_size(page_size),
    }
    if max_items is not None and max_items < 0:
        raise ConfigError(f"max_items: {max_items} is less than 0.")
    given = {key: value for key, value in params.items() if value is not None}
    return Listing(given, service_id, cloud, project, created_by_me, max_items)


def _choice(field: str, value: str, choices: type[ServiceState | ServiceSortField | SortOrder]) -> str:
    text = str(value).upper()
    if text not in choices.__members__:
        raise ConfigError(f"{field}: {value!r} is not one of {', '.join(choices.__members__)}.")
    return text


def _page_size(size: int | None) -> int:
    if size is None:
        return PAGE_SIZE
    if not 1 <= size <= PAGE_SIZE:
        raise ConfigError(f"page_size: {size} is not a number from 1 to {PAGE_SIZE}.")
    return size
