"""The three writes of a rollout, each with a last look before it.

The API has no compare-and-set. So each write reads the service once more, and is left out when it is
not as it was when the write was decided. It is sent once: when its answer is lost, the caller looks
again and decides anew, as by then the service may be another. What remains is the moment between
the last look and the write.
"""

from __future__ import annotations

from anyservice_core.effects import Op, Request
from anyservice_core.errors import NotFoundError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.mapping import apply_from_config, apply_from_version
from anyservice_core.models.wire import ApplyService, RollbackService, ServiceWire, VersionWire
from anyservice_core.operations import compute, connections, directory, images
from anyservice_core.operations.drafting import live, present
from anyservice_core.operations.lookup import SERVICES, by_id
from anyservice_core.operations.sending import send
from anyservice_core.rollout.observe import Observation

__all__ = ["begin", "compose", "move", "take_back"]

_HANDS_OFF = frozenset({"ROLLING_BACK", "TERMINATING", "TERMINATED", "SYSTEM_FAILURE"})


def compose(config: ServiceConfig, service_id: str = "") -> Op[ApplyService]:
    """The body that deploys a prepared config; names of compute, image and project become ids.

    A compute config that is written out is not registered again if the service ``service_id`` runs on the same.
    """
    config = yield from connections.resolve(config)
    resolved = yield from compute.resolve(config, (yield from _machines(config, service_id)))
    build_id = yield from images.resolve(config, resolved.cloud_id)
    project_id = yield from directory.project_id(config.project, resolved.cloud_id)
    return apply_from_config(config, build_id=build_id, compute_config_id=resolved.id, project_id=project_id)


def _machines(config: ServiceConfig, service_id: str) -> Op[list[str]]:
    if not service_id or config.compute_config is None or isinstance(config.compute_config, str):
        return []
    return [version.compute_config_id for version in live((yield from by_id(service_id)))]


def begin(
    body: ApplyService, decided_on: Observation, weight: int, max_surge_percent: int | None
) -> Op[ServiceWire | None]:
    """Send a new version; ``None`` when the service is not as it was in ``decided_on`` any more.

    The weight is always said, since without one the platform walks to 100 by itself; only a service
    that does not run takes no weight.
    """
    service = yield from _find(body, decided_on.service_id)
    if not _is_unchanged(service, decided_on):
        return None
    body = body.model_copy(
        update={
            "canary_percent": None if decided_on.absent else weight,
            "max_surge_percent": max_surge_percent,
            "project_id": (service and service.project_id) or body.project_id,
        }
    )
    return (yield from send(_put(body), ServiceWire, attempts=1))


def _find(body: ApplyService, service_id: str) -> Op[ServiceWire | None]:
    if not service_id:
        return (yield from present(body.name, str(body.project_id)))
    try:
        return (yield from by_id(service_id, attempts=1))
    except NotFoundError:
        return None


def _is_unchanged(service: ServiceWire | None, before: Observation) -> bool:
    if before.absent:
        return service is None or service.current_state == "TERMINATED"
    if service is None or service.current_state != "RUNNING" or service.canary_version is not None:
        return False
    primary = service.primary_version
    return primary is not None and before.primary is not None and primary.id == before.primary.id


def move(service_id: str, version_id: str, weight: int) -> Op[bool]:
    """Raise the canary ``version_id`` to ``weight`` percent; ``False`` when it is not there to be raised."""
    service, canary = yield from _last_look(service_id, version_id)
    if canary is None or canary.weight > weight:
        return False
    yield from send(_put(apply_from_version(service, canary, weight)), ServiceWire, attempts=1)
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


def _put(body: ApplyService) -> Request:
    return Request("PUT", f"{SERVICES}apply", json=body.body(), idempotent=False)
