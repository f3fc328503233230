"""What the dashboard shows, as JSON: never a token, a request's body or what a version was told to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from anyservice_core.plane.api import Api
from anyservice_core.plane.checklist import checklist
from anyservice_core.plane.dashboard.history import EVERY_S, History, Mark, Sample
from anyservice_core.plane.lifecycle import SERVICE, ServiceEvent, allowed
from anyservice_core.plane.router.books import difference
from anyservice_core.plane.state import Service, Version

__all__ = ["MOST_SERVICES", "Board"]

MOST_SERVICES: Final = 200
_EVENTS: Final = 50
_RATE_S: Final = 10.0
_LATENCY_S: Final = 60.0
_ORDER: Final = "state IN ('UNHEALTHY', 'SYSTEM_FAILURE') DESC, state = 'TERMINATED', name, rowid"
_NONE: Final = Mark("", 0)


@dataclass(frozen=True)
class Board:
    """Reads the store and the history; changes nothing."""

    api: Api
    history: History

    def list(self) -> dict[str, Any]:
        """Give the services that are not archived, sick ones first and ended ones last; at most ``MOST_SERVICES``."""
        store = self.api.store
        found = store.select("NOT archived", (), _ORDER, limit=MOST_SERVICES)
        return {"services": [self._brief(one) for one in found], "total": store.count("NOT archived", ())}

    def service(self, service_id: str) -> dict[str, Any]:
        """Give all of one service.

        Raises:
            NotFoundError: there is none of this id.
        """
        service = self.api.find(service_id)
        samples = self.history.of(service.id)
        return {
            **self._brief(service),
            "created_at": service.created_at,
            "archived": service.archived,
            "checklist": _checks(service),
            "events": [
                {"number": e.number, "at": e.at, "kind": e.kind, "message": e.message}
                for e in reversed(self.api.store.events(service.id, limit=_EVENTS))
            ],
            "names": {v: mark.name for one in samples for v, mark in one.marks.items()},
            "history": [_point(before, one) for before, one in zip([None, *samples], samples, strict=False)],
        }

    def _brief(self, service: Service) -> dict[str, Any]:
        totals = self.api.store.traffic(service.id)
        return {
            "id": service.id,
            "name": service.name,
            "tags": service.tags,
            "state": service.state,
            "goal_state": service.goal_state,
            "query_url": f"http://127.0.0.1:{service.port}",
            "error_message": service.error_message,
            "rollout": service.rollout
            and service.rollout.model_dump(include={"percent", "automatic", "since"}),
            "can": {
                "rollback": service.canary is not None
                and allowed(SERVICE, service.state, ServiceEvent.ROLL_BACK),
                "terminate": service.goal_state == "RUNNING",
            },
            "versions": [self._version(service, v, totals.get(v.id, {})) for v in service.versions],
        }

    def _version(self, service: Service, version: Version, total: Mapping[str, Any]) -> dict[str, Any]:
        requests, errors = total.get("requests", 0), total.get("errors", 0)
        took = total.get("took") or {}
        return {
            "id": version.id,
            "name": version.name,
            "role": _role(service, version),
            "state": version.state,
            "weight": version.weight,
            "capacity": version.side.ready,
            "message": version.message,
            "engine": version.engine,
            "created_at": version.created_at,
            "requests": requests,
            "errors": errors,
            **self._rates(service.id, version.id, requests, errors),
            "latency_ms": self._latency(service.id, version.id, took),
        }

    def _rates(self, service_id: str, version_id: str, requests: int, errors: int) -> dict[str, float | None]:
        """Requests and errors a second over the last ``_RATE_S`` seconds; ``None`` until there is a stretch to tell."""
        sample = self.history.since(service_id, _RATE_S)
        passed = self.api.clock() - sample.at if sample else 0.0
        if sample is None or passed < EVERY_S:
            return {"rps": None, "error_rps": None}
        before = sample.marks.get(version_id, _NONE)
        return {
            "rps": round(max(0, requests - before.requests) / passed, 1),
            "error_rps": round(max(0, errors - before.errors) / passed, 2),
        }

    def _latency(self, service_id: str, version_id: str, took: Mapping[str, int]) -> dict[str, int | None]:
        """The bucket's end that so many answers of the last minute began within; ``None``: there were none."""
        sample = self.history.since(service_id, _LATENCY_S)
        before = (sample.marks.get(version_id, _NONE) if sample else _NONE).took
        gained = difference(took, before)
        return {"p50": _quantile(gained, 0.5), "p95": _quantile(gained, 0.95)}


def _role(service: Service, version: Version) -> str:
    if version is service.primary:
        return "primary"
    return "canary" if version is service.canary else "leaving"


def _quantile(took: Mapping[str, int], share: float) -> int | None:
    """Give the end of the bucket that this share of the answers is within; the last bucket's end beyond it."""
    ends = sorted(int(key.removeprefix("le_")) for key in took if key.startswith("le_"))
    wanted = share * took.get("count", 0)
    if not ends or not wanted:
        return None
    return next((end for end in ends if took[f"le_{end}"] >= wanted), ends[-1])


def _point(before: Sample | None, sample: Sample) -> dict[str, Any]:
    """A moment of the picture: each version's weight and, since the moment before, what it was asked.

    That is requests a second, errors a second, and the milliseconds within which 95 % of its answers began.
    """
    passed = sample.at - before.at if before else 0.0
    return {
        "at": round(sample.at, 1),
        "versions": {
            version_id: [mark.weight, *_gained(before, version_id, mark, passed)]
            for version_id, mark in sample.marks.items()
        },
    }


def _gained(
    before: Sample | None, version_id: str, mark: Mark, passed: float
) -> tuple[float, float, int | None]:
    if before is None or passed <= 0:
        return 0.0, 0.0, None
    was = before.marks.get(version_id, _NONE)
    requests, errors = mark.requests - was.requests, mark.errors - was.errors
    slow = _quantile(difference(mark.took, was.took), 0.95)
    return round(max(0, requests) / passed, 2), round(max(0, errors) / passed, 2), slow


def _checks(service: Service) -> list[dict[str, Any]]:
    if service.state == "TERMINATED":
        return []
    found = checklist(service)
    names = {version.id: version.name for version in service.versions}
    items = [("", item) for item in found.shared]
    items += [(names[one.version_id], item) for one in found.per_version for item in one.items]
    return [
        {"of": of, "label": item.label, "state": item.state, "message": item.message or ""}
        for of, item in items
    ]
