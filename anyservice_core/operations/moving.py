"""The two writes of a rollout, each with a last look before it.

The API has no compare-and-set. So each write reads the service once more, and is left out when the
canary is not the one that was meant any more, or is further than it was to go. It is sent once: when
its answer is lost, the caller looks again and decides anew, as by then the service may be another.
"""

from __future__ import annotations

from anyservice_core.effects import Op, Request
from anyservice_core.models.mapping import apply_from_version
from anyservice_core.models.wire import RollbackService, ServiceWire, VersionWire
from anyservice_core.operations.lookup import SERVICES, by_id
from anyservice_core.operations.sending import send

__all__ = ["move", "take_back"]

_HANDS_OFF = frozenset({"ROLLING_BACK", "TERMINATING", "TERMINATED", "SYSTEM_FAILURE"})


def move(service_id: str, version_id: str, weight: int) -> Op[bool]:
    """Raise the canary ``version_id`` to ``weight`` percent; ``False`` when it is not there to be raised."""
    service, canary = yield from _last_look(service_id, version_id)
    if canary is None or canary.weight > weight:
        return False
    body = apply_from_version(service, canary, weight)
    put = Request("PUT", f"{SERVICES}apply", json=body.body(), idempotent=False)
    yield from send(put, ServiceWire, attempts=1)
    return True


def take_back(service_id: str, version_id: str, max_surge_percent: int | None) -> Op[bool]:
    """Roll the canary ``version_id`` back; ``False`` when it is not there to be rolled back."""
    _, canary = yield from _last_look(service_id, version_id)
    if canary is None:
        return False
    body = RollbackService(max_surge_percent=max_surge_percent).model_dump(exclude_none=True)
    post = Request("POST", f"{SERVICES}{service_id}/rollback", json=body, idempotent=False)
    yield from send(post, ServiceWire, attempts=1)
    return True


def _last_look(service_id: str, version_id: str) -> Op[tuple[ServiceWire, VersionWire | None]]:
    service = yield from by_id(service_id, attempts=1)
    canary = service.canary_version
    there = canary is not None and canary.id == version_id and service.current_state not in _HANDS_OFF
    return service, canary if there else None
