"""Choosing, sorting and paging services, and showing traffic as text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.errors import RejectedError
from anyservice_core.models.wire import TrafficWire
from anyservice_core.plane.catalog import CREATOR
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import Store

__all__ = ["Page", "Query", "prometheus", "select"]

_COLUMNS: Final = {
    "NAME": "name",
    "STATUS": "state",
    "CREATED_AT": "created_at",
    "LAST_DEPLOYED_AT": "deployed_at",
}


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

    def where(self) -> tuple[str, list[Any]]:
        """Give the condition in SQL, and the values in it."""
        parts: list[tuple[str, list[Any]]] = []
        if not self.archived:
            parts.append(("archived = 0", []))
        if self.name is not None:
            parts.append(("instr(name, ?)", [self.name]))
        if self.project_id is not None:
            parts.append(("project_id = ?", [self.project_id]))
        if self.cloud_id is not None:
            parts.append(("json_extract(document, '$.cloud_id') = ?", [self.cloud_id]))
        if self.creator_id not in {None, CREATOR.id}:
            parts.append(("false", []))
        if self.states:
            parts.append((f"state IN ({_marks(self.states)})", sorted(self.states)))
        parts += [self._tagged(key) for key in sorted({key for key, _ in self.tags})]
        return " AND ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]

    def _tagged(self, key: str) -> tuple[str, list[Any]]:
        """Any of the values asked for a key will do; each key must have one."""
        wanted = [value for name, value in self.tags if name == key]
        tag = "SELECT 1 FROM json_each(document, '$.tags') tag WHERE tag.key = ?"
        return f"EXISTS ({tag} AND tag.value IN ({_marks(wanted)}))", [key, *wanted]

    def order(self) -> str:
        """Give the order in SQL: by default the active first, then the last changed, then by name.

        Raises:
            RejectedError: a field that there is not.
        """
        if self.sort_field is None:
            return "state = 'TERMINATED', updated_at DESC, name, rowid"
        column = _COLUMNS.get(self.sort_field.upper())
        if column is None:
            raise RejectedError(
                f"sort_field '{self.sort_field}' is none of {', '.join(_COLUMNS)}.", status=422
            )
        down = " DESC" if self.sort_order.upper() == "DESC" else ""
        return f"{column}{down}, name, rowid"


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


class Page(BaseModel):
    """One page; ``next_token`` is where the next begins, ``None`` at the end."""

    page: list[Service]
    total: int
    next_token: str | None


def select(store: Store, query: Query) -> Page:
    """Filter, sort and cut one page.

    Raises:
        RejectedError: a paging token or sort field that the plane never gave out.
    """
    where, values = query.where()
    start, total = _offset(query.paging_token), store.count(where, values)
    page = store.select(where, values, query.order(), limit=query.count, offset=start)
    end = start + query.count
    return Page(page=page, total=total, next_token=str(end) if end < total else None)


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise RejectedError(f"paging_token '{token}' is not one that this plane gave out.", status=422)
    return int(token)


def prometheus(traffic: Iterable[TrafficWire]) -> str:
    """Give traffic totals in the Prometheus text format."""
    lines = [
        "# HELP anyservice_requests_total Requests the router sent to a version, by class of the answer.",
        "# TYPE anyservice_requests_total counter",
        "# HELP anyservice_weight_percent Share of the traffic that a version is meant to get.",
        "# TYPE anyservice_weight_percent gauge",
        "# HELP anyservice_latency_seconds How long a version took to begin its answer.",
        "# TYPE anyservice_latency_seconds histogram",
    ]
    for service in traffic:
        for version in service.versions:
            named = {"service": service.name, "version": version.name, "version_id": version.version_id}
            labels = ",".join(f'{key}="{_quoted(value)}"' for key, value in named.items())
            lines.append(f"anyservice_weight_percent{{{labels}}} {version.weight}")
            lines += [
                f'anyservice_requests_total{{{labels},code="{code}"}} {count}'
                for code, count in sorted(version.responses.items())
            ]
            lines += _histogram("anyservice_latency_seconds", labels, version.took)
    return "\n".join(lines) + "\n"


def _histogram(name: str, labels: str, took: Mapping[str, int]) -> Iterator[str]:
    """Give the buckets, the count and the sum; nothing for a version that has answered nobody."""
    if "count" not in took:
        return
    ends = sorted(int(key.removeprefix("le_")) for key in took if key.startswith("le_"))
    for end in ends:
        yield f'{name}_bucket{{{labels},le="{end / 1000:g}"}} {took[f"le_{end}"]}'
    yield f'{name}_bucket{{{labels},le="+Inf"}} {took["count"]}'
    yield f"{name}_count{{{labels}}} {took['count']}"
    yield f"{name}_sum{{{labels}}} {took.get('sum_ms', 0) / 1000:g}"


def _quoted(text: str) -> str:
    """Write a label's value so that no name can end it."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
