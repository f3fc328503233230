"""Choosing, sorting and paging services, and showing traffic as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.errors import RejectedError
from anyservice_core.models.enums import ServiceState
from anyservice_core.models.wire import TrafficWire
from anyservice_core.plane.catalog import CREATOR
from anyservice_core.plane.state import Service

__all__ = ["Page", "Query", "prometheus", "select"]

_IDLE = frozenset({ServiceState.TERMINATED})


class Query(BaseModel):
    """What a list request asks for; names are the API's own."""

    model_config = ConfigDict(frozen=True)

    name: str | None = None
    project_id: str | None = None
    cloud_id: str | None = None
    creator_id: str | None = None
    states: frozenset[str] = frozenset()
    tags: tuple[tuple[str, str], ...] = ()
    archived: bool = False
    sort_field: str | None = None
    sort_order: str = "ASC"
    paging_token: str | None = None
    count: int = Field(default=10, ge=1, le=50)

    @classmethod
    def read(cls, get: Callable[[str], str | None], all_of: Callable[[str], list[str]]) -> Self:
        """Read a query string.

        Raises:
            pydantic.ValidationError: a value that does not fit, such as ``count=51``.
        """
        plain = (
            "name",
            "project_id",
            "cloud_id",
            "creator_id",
            "sort_field",
            "sort_order",
            "paging_token",
            "count",
        )
        given = {key: value for key in plain if (value := get(key)) is not None}
        return cls.model_validate(
            {
                **given,
                "states": frozenset(state.upper() for state in all_of("state_filter")),
                "tags": [tag.partition(":")[::2] for tag in all_of("tag_filter")],
                "archived": get("archive_status") == "ALL",
            }
        )

    def takes(self, service: Service) -> bool:
        return (
            (self.archived or not service.archived)
            and (self.name is None or self.name in service.name)
            and self.project_id in {None, service.project_id}
            and self.cloud_id in {None, service.cloud_id}
            and self.creator_id in {None, CREATOR.id}
            and (not self.states or service.state in self.states)
            and self._tagged(service)
        )

    def _tagged(self, service: Service) -> bool:
        """Any of the values asked for a key will do; each key must have one."""
        return all((key, service.tags.get(key)) in self.tags for key, _ in self.tags)


class Page(BaseModel):
    """One page; ``next_token`` is where the next begins, ``None`` at the end."""

    page: list[Service]
    total: int
    next_token: str | None


def select(services: Iterable[Service], query: Query) -> Page:
    """Filter, sort and cut one page.

    Raises:
        RejectedError: a paging token or sort field that the plane never gave out.
    """
    found = _sorted([service for service in services if query.takes(service)], query)
    start = _offset(query.paging_token)
    end = start + query.count
    return Page(page=found[start:end], total=len(found), next_token=str(end) if end < len(found) else None)


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isdecimal():
        raise RejectedError(f"paging_token '{token}' is not one that this plane gave out.", status=422)
    return int(token)


def _sorted(services: Sequence[Service], query: Query) -> list[Service]:
    """Sort as asked; by default the active first, then the last changed, then by name."""
    by_name = sorted(services, key=lambda s: s.name)
    if query.sort_field is None:
        return sorted(by_name, key=lambda s: (s.state in _IDLE, -s.updated_at))
    keys: dict[str, Callable[[Service], str | float]] = {
        "NAME": lambda s: s.name,
        "STATUS": lambda s: s.state,
        "CREATED_AT": lambda s: s.created_at,
        "LAST_DEPLOYED_AT": lambda s: s.primary.created_at,
    }
    key = keys.get(query.sort_field.upper())
    if key is None:
        raise RejectedError(f"sort_field '{query.sort_field}' is none of {', '.join(keys)}.", status=422)
    return sorted(by_name, key=key, reverse=query.sort_order.upper() == "DESC")


def prometheus(traffic: Iterable[TrafficWire]) -> str:
    """Give traffic totals in the Prometheus text format."""
    lines = [
        "# HELP anyservice_requests_total Requests the router sent to a version, by class of the answer.",
        "# TYPE anyservice_requests_total counter",
        "# HELP anyservice_weight_percent Share of the traffic that a version is meant to get.",
        "# TYPE anyservice_weight_percent gauge",
    ]
    for service in traffic:
        for version in service.versions:
            labels = f'service="{service.name}",version="{version.name}",version_id="{version.version_id}"'
            lines.append(f"anyservice_weight_percent{{{labels}}} {version.weight}")
            lines += [
                f'anyservice_requests_total{{{labels},code="{code}"}} {count}'
                for code, count in sorted(version.responses.items())
            ]
    return "\n".join(lines) + "\n"
