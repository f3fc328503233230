"""Reading a service, waiting for it, and taking it back or down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from anyservice_core.effects import Op, Request
from anyservice_core.errors import ConfigError, ConflictError, NotFoundError, TransportError, UnavailableError
from anyservice_core.models.enums import ServiceState
from anyservice_core.models.mapping import status_from_wire
from anyservice_core.models.status import ServiceStatus
from anyservice_core.models.wire import RollbackService, ServiceWire
from anyservice_core.operations import directory
from anyservice_core.operations.goals import Goal
from anyservice_core.operations.lookup import SERVICES, by_id, locate
from anyservice_core.operations.sending import ATTEMPTS, backoff, exchange, send
from anyservice_core.operations.waiting import poll

__all__ = ["archive", "delete", "glance", "percent", "rollback", "status", "take_back", "terminate", "wait"]


def status(
    name: str | None = None, *, id: str | None = None, cloud: str | None = None, project: str | None = None
) -> Op[ServiceStatus]:
    """The status of a service.

    Name it by ``name``, within ``cloud`` and ``project`` where given, or by ``id``.
    Raises ``NotFoundError``, or ``ConfigError`` where two services have this name.
    """
    service = yield from locate(name, id, cloud, project)
    return status_from_wire(service, project=(yield from directory.called(service.project_id, project)))


def glance(
    name: str | None = None,
    *,
    id: str | None = None,
    cloud: str | None = None,
    project: str | None = None,
    attempts: int = ATTEMPTS,
) -> Op[ServiceStatus]:
    """The same without the project's name, for those who look often: by id it is one request.

    ``attempts`` limits how often that request is sent while no answer comes.
    """
    if id is not None:
        return status_from_wire((yield from by_id(id, attempts=attempts)))
    return status_from_wire((yield from locate(name, id, cloud, project)))


def wait(
    name: str | None = None,
    *,
    id: str | None = None,
    cloud: str | None = None,
    project: str | None = None,
    state: str | ServiceState | Iterable[str | ServiceState] = "RUNNING",
    version: str | None = None,
    canary_weight: int | None = None,
    timeout_s: float = 600.0,
    poll_interval_s: float = 2.0,
    patient: bool = False,
) -> Op[ServiceStatus]:
    """Wait until a service is in ``state`` (or any of several), and give back its status then.

    With ``version`` (a name or id) wait for that version to be healthy as the primary one, with
    ``canary_weight`` for it, or whichever is the canary, to be healthy at that percent of the traffic. A named version
    that is alone has what it is waited for: the first one has nobody to share with. Where no canary is there and none
    is named, the wait fails, unless ``state`` is ROLLING_OUT, which waits for one to come.
    Looks every ``poll_interval_s`` seconds, for at most ``timeout_s`` seconds.

    A control plane that is away for a while is waited for. One on this machine that has never answered is not: where
    nothing listens at its address, a wait by name raises ``TransportError`` within seconds, unless it is ``patient``.

    Raises ``WaitTimeoutError`` at the deadline, ``WaitFailedError`` as soon as the goal is out of reach:
    the service is terminated or has failed, or the version was rolled back.
    """
    goal = Goal.of(state, version, canary_weight)
    for field, seconds in (("timeout_s", timeout_s), ("poll_interval_s", poll_interval_s)):
        if not seconds > 0:
            raise ConfigError(f"{field}: {seconds} is not a time in seconds above 0.")
    known = [id] if id else []

    def look() -> Op[ServiceStatus]:
        if known:  # the next poll is the retry: one request each
            return status_from_wire((yield from by_id(known[0], attempts=1)))
        service = yield from locate(name, None, cloud, project)
        known.append(service.id)
        return status_from_wire(service)

    called = name or id or "of this workspace"
    return (
        yield from poll(
            look,
            goal,
            name=called,
            timeout_s=timeout_s,
            poll_interval_s=poll_interval_s,
            heard=patient or id is not None,
        )
    )


# ── taking back, taking down ────────────────────────────────────────────────


def rollback(
    name: str | None = None,
    *,
    id: str | None = None,
    cloud: str | None = None,
    project: str | None = None,
    max_surge_percent: int | None = None,
) -> Op[str]:
    """Cancel the rollout under way: the primary version gets all the traffic back. Returns at once, with the id.

    ``max_surge_percent`` (0 to 100) is the excess capacity allowed meanwhile, by default 100.
    Raises ``RejectedError`` when no rollout is under way.
    """
    body = RollbackService(max_surge_percent=percent("max_surge_percent", max_surge_percent))
    before = yield from locate(name, id, cloud, project)
    request = Request(
        "POST", f"{SERVICES}{before.id}/rollback", json=body.model_dump(exclude_none=True), idempotent=False
    )
    for attempt in range(1, ATTEMPTS):
        try:
            return (yield from send(request, ServiceWire)).id
        except (TransportError, UnavailableError) as error:
            yield from backoff(attempt, error)
        # A second rollback is refused, so after a lost answer look whether the first one arrived.
        if _is_back(before, (yield from by_id(before.id))):
            return before.id
    return (yield from send(request, ServiceWire)).id


def take_back(
    name: str | None = None,
    *,
    id: str | None = None,
    cloud: str | None = None,
    project: str | None = None,
    version: str | None = None,
) -> Op[str]:
    """Roll a service back if its canary is ``version``, a name or id, or whichever it has if none is given.

    For those who come late and may come twice, such as a hook that runs when a task was killed: that there is
    nothing to take back, or no such service any more, is no error, and a stranger's canary is never touched. Returns a
    sentence on what was done.
    """
    try:
        seen = yield from glance(name, id=id, cloud=cloud, project=project)
    except NotFoundError:
        return f"service {name or id} is not there any more"
    canary = seen.canary_version
    if canary is None or not (version is None or canary.is_called(version)):
        return f"{seen.name}: no canary{f' {version}' if version else ''} is there to take back"
    yield from rollback(id=seen.id)
    return f"{seen.name}: its canary {canary.name} at {canary.weight} % is taken back"


def _is_back(before: ServiceWire, now: ServiceWire) -> bool:
    if now.current_state == "ROLLING_BACK":
        return True
    if now.canary_version is not None or before.canary_version is None:
        return False
    if now.primary_version and now.primary_version.id == before.canary_version.id:
        raise ConflictError(
            f"Service {now.name!r}: too late to roll back, the canary was promoted.", status=409
        )
    return True


def terminate(
    name: str | None = None, *, id: str | None = None, cloud: str | None = None, project: str | None = None
) -> Op[str]:
    """Stop a service, all versions of it. Returns at once, with the id."""
    known = id or (yield from locate(name, id, cloud, project)).id
    # Asking twice for an end is asking for the same end.
    return (yield from send(Request("POST", f"{SERVICES}{known}/terminate"), ServiceWire)).id


def archive(
    name: str | None = None, *, id: str | None = None, cloud: str | None = None, project: str | None = None
) -> Op[str]:
    """Hide a terminated service from lists and lookups. Returns at once, with the id."""
    known = id or (yield from locate(name, id, cloud, project)).id
    yield from exchange(Request("POST", f"{SERVICES}{known}/archive"))
    return known


def delete(
    name: str | None = None, *, id: str | None = None, cloud: str | None = None, project: str | None = None
) -> Op[str]:
    """Remove a terminated service for good, an archived one too. Returns at once, with the id."""
    known = id or (yield from locate(name, id, cloud, project, archived=True)).id
    request = Request("DELETE", f"{SERVICES}{known}")
    try:
        yield from exchange(request, attempts=1)
    except (TransportError, UnavailableError) as error:
        yield from backoff(1, error)
        yield from _delete_again(request)
    return known


def _delete_again(request: Request) -> Op[None]:
    """After a lost answer, not finding it means that it is gone."""
    try:
        yield from exchange(request)
    except NotFoundError:
        return


def percent(field: str, value: Any) -> int | None:
    """A percentage from a user, or ``ConfigError``."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (whole and 0 <= value <= 100):
        raise ConfigError(f"{field}: {value!r} is not a whole number from 0 to 100.")
    return None if value is None else int(value)
