"""Choosing, sorting and paging services, and showing traffic as text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from anyservice_core.models.wire import TrafficWire
from anyservice_core.plane.catalog import CREATOR
from anyservice_core.plane.paging import Paged
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import Store

__all__ = ["Found", "Query", "prometheus", "select"]

SortField: TypeAlias = Literal["STATUS", "NAME", "CREATED_AT", "LAST_DEPLOYED_AT"]
_COLUMNS: Final = {
    "NAME": "name",
    "STATUS": "state",
    "CREATED_AT": "created_at",
    "LAST_DEPLOYED_AT": "deployed_at",
}


def _upper(text: Any) -> Any:
    return text.upper() if isinstance(text, str) else text


class Query(Paged):
    """What a list request asks for; names are the API's own."""

    name: str = ""
    project_id: str = ""
    cloud_id: str = ""
    creator_id: str = ""
    state_filter: list[str] = Field(default_factory=list, max_length=50)
    tag_filter: list[str] = Field(default_factory=list, max_length=50)
    archive_status: Literal["NOT_ARCHIVED", "ALL", "ARCHIVED"] = "NOT_ARCHIVED"
    sort_field: Annotated[SortField, BeforeValidator(_upper)] | None = None
    sort_order: Annotated[Literal["ASC", "DESC"], BeforeValidator(_upper)] = "ASC"

    def where(self) -> tuple[str, list[Any]]:
        """Give the condition in SQL, and the values in it."""
        parts: list[tuple[str, list[Any]]] = []
        if self.archive_status != "ALL":
            parts.append((f"archived = {int(self.archive_status == 'ARCHIVED')}", []))
        if self.name:
            parts.append(("instr(name, ?)", [self.name]))
        if self.project_id:
            parts.append(("project_id = ?", [self.project_id]))
        if self.cloud_id:
            parts.append(("json_extract(document, '$.cloud_id') = ?", [self.cloud_id]))
        if self.creator_id not in {"", CREATOR.id}:
            parts.append(("false", []))
        if states := sorted({state.upper() for state in self.state_filter}):
            parts.append((f"state IN ({_marks(states)})", states))
        tags = [tag.partition(":")[::2] for tag in self.tag_filter]
        parts += [
            _tagged(key, [value for name, value in tags if name == key])
            for key in sorted({key for key, _ in tags})
        ]
        return " AND ".join(sql for sql, _ in parts), [value for _, values in parts for value in values]

    def order(self) -> str:
        """Give the order in SQL: by default the active first, then the last changed, then by name.

        Before them comes the service of the very name that is asked for, because official clients look for one by its
        name on the first page alone. Of all names that contain it, it is the one that is no longer.
        """
        if self.sort_field is None:
            very = f"length(name) > {len(self.name)}, " if self.name else ""
            return f"{very}state = 'TERMINATED', updated_at DESC, name, rowid"
        down = " DESC" if self.sort_order == "DESC" else ""
        return f"{_COLUMNS[self.sort_field]}{down}, name, rowid"


def _tagged(key: str, wanted: list[str]) -> tuple[str, list[Any]]:
    """Any of the values asked for a key will do; each key must have one."""
    tag = "SELECT 1 FROM json_each(document, '$.tags') tag WHERE tag.key = ?"
    return f"EXISTS ({tag} AND tag.value IN ({_marks(wanted)}))", [key, *wanted]


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


@dataclass(frozen=True)
class Found:
    """One page; ``next_token`` is where the next begins, ``None`` at the end."""

    page: list[Service]
    total: int
    next_token: str | None


def select(store: Store, query: Query) -> Found:
    """Filter, sort and cut one page."""
    where, values = query.where()
    total = store.count(where, values)
    page = store.select(where, values, query.order(), limit=query.count, offset=query.start)
    return Found(page, total, query.next(total))


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
            named = {"service": service.name, "project": service.project}
            named |= {"version": version.name, "version_id": version.version_id}
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
