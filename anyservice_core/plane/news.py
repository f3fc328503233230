"""What changed in a step of the loop, put into words for the record. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from anyservice_core.plane.capacity import WHOLE
from anyservice_core.plane.state import Service, Version
from anyservice_core.plane.store import Event

__all__ = ["differences"]


def differences(before: Service, after: Service, now: float) -> list[Event]:
    """Put what changed in a step into words, for the record."""
    events = []
    if before.state is not after.state:
        message = f"{before.state} -> {after.state}"
        if after.error_message and after.error_message != before.error_message:
            message += f": {after.error_message}"
        events.append(Event(after.id, now, "state", message))
    if fault := _router_news(before, after):
        events.append(Event(after.id, now, "router", fault))
    known = {version.id: version for version in before.versions}
    for version in after.versions:
        news = _of_version(known.get(version.id), version)
        events.extend(Event(after.id, now, kind, told, version.id) for kind, told in news)
    gone = known.keys() - {version.id for version in after.versions}
    return [
        *events,
        *(
            Event(after.id, now, "version", f"{v.name} TERMINATED", v.id)
            for v in before.versions
            if v.id in gone
        ),
    ]


def _of_version(old: Version | None, version: Version) -> Iterator[tuple[str, str]]:
    """Give each piece of news as its kind and its words."""
    if old is None or old.state is not version.state:
        why = f": {version.message}" if version.message else ""
        yield "version", f"{version.name} {version.state}{why}"
    if old is None:
        return
    if old.generation != version.generation:
        yield "update", f"{version.name} runs its new code"
    if old.weight != version.weight:
        yield "weight", f"{version.name} at {version.weight} %"
    if old.capacity != version.capacity:
        yield "capacity", f"{version.name} shall have {version.capacity} % of its capacity"
    there = _serving(version)
    begins_whole = there == WHOLE and not (old.address and old.present)
    if there not in {None, _serving(old)} and not begins_whole:
        yield "capacity", f"{version.name} has {there} % of its capacity"


def _serving(version: Version) -> int | None:
    """Give the capacity that a version which answers has settled at."""
    least, most = version.present or (0, WHOLE)
    return least if version.address and least == most else None


def _router_news(before: Service, after: Service) -> str:
    was = before.routing.fault if before.routing else ""
    fault = after.routing.fault if after.routing else ""
    if was == fault:
        return ""
    return f"the router does not obey: {fault}" if fault else "the router obeys again"
