"""What a request asks of a service: pure moves from one ``Service`` value to the next.

Each function takes the present value and gives the wanted one; none of them starts, stops or
routes anything. ``reconcile`` does that afterwards, and would do it again after a crash, since what
was asked for is in the value.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from anyservice_core.errors import ConflictError
from anyservice_core.models.enums import ServiceState, ServiceVersionState
from anyservice_core.models.wire import ApplyService
from anyservice_core.plane import in_place
from anyservice_core.plane.addresses import remotes_of
from anyservice_core.plane.capacity import WHOLE, alone, room
from anyservice_core.plane.lifecycle import SERVICE, VERSION, ServiceEvent, VersionEvent, advance
from anyservice_core.plane.state import Rollout, Service, Version

__all__ = [
    "Birth",
    "archive",
    "bears",
    "check_delete",
    "deploy",
    "is_known",
    "meant",
    "new_id",
    "restart",
    "retire",
    "roll_back",
    "terminate",
]

# The alphabet of the API's ids: what cannot be mistaken for something else.
_ID_LETTERS = "".join(sorted(set(string.ascii_lowercase) - {"o"})) + "123456789"


def new_id(prefix: str, length: int = 26) -> str:
    """Give a fresh id of the API's form, such as ``srv_64txe7xf...``."""
    return prefix + "".join(secrets.choice(_ID_LETTERS) for _ in range(length))


@dataclass(frozen=True)
class Birth:
    """What a new service or version needs beside the request: the time, a port, the engine's name.

    ``check_room`` raises ``ConflictError`` if this machine has no room for one more version.
    ``fetched`` says which bundles were fetched from which addresses: a version keeps those of its own, so that it
    runs the same code at every start.
    """

    now: float
    engine: str
    cloud_id: str
    project_id: str
    pick_port: Callable[[], int]
    check_room: Callable[[], None] = lambda: None
    fetched: Mapping[str, str] = field(default_factory=dict, repr=False)


def deploy(service: Service | None, apply: ApplyService, birth: Birth, *, lasting: bool = False) -> Service:
    """Deploy a configuration: create, restart, start a canary, move its weight, or update in place.

    A ``lasting`` split stays, whatever limit rollouts have.

    Raises:
        ConflictError: the service is on its way out, the version's name is taken by another content, or this
            machine has no room for one more version.
        AnyserviceError: as ``in_place.update`` says.
    """
    if apply.rollout_strategy == "IN_PLACE":
        birth.check_room()
        return in_place.update(service, apply, _built(_spec(apply), birth), birth.now)
    if service is None:
        return _create(apply, birth)
    if service.state is ServiceState.TERMINATED:
        return _restart(service, apply, birth)
    same = _same_version(service, apply)
    moved = _again(service, same, apply, birth) if same else _start_canary(service, apply, birth)
    if moved.rollout is None or moved.rollout is service.rollout:
        return moved
    return moved.replace(rollout=moved.rollout.replace(lasting=lasting))


def _spec(apply: ApplyService) -> dict[str, Any]:
    """What makes two deploys the same build: all of the request but its name and its weights."""
    return apply.model_dump(
        mode="json",
        exclude_none=True,
        exclude={
            "name",
            "version",
            "description",
            "project_id",
            "canary_percent",
            "max_surge_percent",
            "rollout_strategy",
            "auto_complete_rollout",
            "traffic_percent",  # of one version among several
            "tags",
        },
    )


def _built(spec: dict[str, Any], birth: Birth) -> dict[str, Any]:
    """Add what its addresses served when it was asked for."""
    own = {url: birth.fetched[url] for url in remotes_of(spec) if url in birth.fetched}
    return {**spec, "fetched": own} if own else spec


def is_known(service: Service | None, apply: ApplyService) -> bool:
    """Say whether a deploy means a version that is there already, so that nothing has to be fetched for it.

    Raises:
        ConflictError: the version's name is taken by another content.
    """
    if service is None or apply.rollout_strategy == "IN_PLACE":
        return False
    return _same_version(service, apply) is not None


def _version(apply: ApplyService, birth: Birth, spec: dict[str, Any] | None = None) -> Version:
    birth.check_room()
    return Version(
        id=new_id("srv_"),
        name=apply.version or new_id("", 8),
        created_at=birth.now,
        since=birth.now,
        spec=_built(spec or _spec(apply), birth),
        engine=birth.engine,
    )


def _token(apply: ApplyService, present: str | None) -> str | None:
    if apply.config is None:
        return present
    wanted = apply.config.access.use_bearer_token
    return (present or secrets.token_urlsafe(24)) if wanted else None


def _tokens(apply: ApplyService, service: Service) -> dict[str, str | None]:
    """Give the service's tokens after this request: both stay, or both go."""
    token = _token(apply, service.auth_token)
    return {"auth_token": token, "second_token": service.second_token if token else None}


def _create(apply: ApplyService, birth: Birth) -> Service:
    return Service(
        id=new_id("service2_"),
        name=apply.name,
        project_id=birth.project_id,
        cloud_id=birth.cloud_id,
        created_at=birth.now,
        port=birth.pick_port(),
        auth_token=_token(apply, None),
        primary=_version(apply, birth).replace(weight=100),
        updated_at=birth.now,
    )


def _restart(service: Service, apply: ApplyService, birth: Birth) -> Service:
    return service.replace(
        state=advance(SERVICE, service.state, ServiceEvent.DEPLOY, what=f"service '{service.name}'"),
        primary=_version(apply, birth).replace(weight=100),
        canary=None,
        rollout=None,
        retiring=(),
        routing=None,
        **_tokens(apply, service),
        error_message=None,
        archived=False,
    )


def restart(service: Service, birth: Birth) -> Service:
    """Start a service that has ended again, with what its last version ran.

    Raises:
        ConflictError: it has not ended.
    """
    state = _only_ended(service, ServiceEvent.RESTART)
    birth.check_room()
    last = service.primary
    again = Version(
        id=new_id("srv_"),
        name=last.name,
        created_at=birth.now,
        since=birth.now,
        spec=last.wanted,
        engine=birth.engine,
        weight=100,
    )
    return service.replace(
        state=state, primary=again, canary=None, rollout=None, retiring=(), routing=None, error_message=None
    )


def archive(service: Service) -> Service:
    """Hide a service that has ended.

    Raises:
        ConflictError: it has not ended.
    """
    return service.replace(state=_only_ended(service, ServiceEvent.ARCHIVE), archived=True)


def check_delete(service: Service) -> None:
    """Raise ``ConflictError`` unless a service has ended, so that nothing of it runs."""
    _only_ended(service, ServiceEvent.DELETE)


def _only_ended(service: Service, event: ServiceEvent) -> ServiceState:
    hint = "Terminate it first and wait for TERMINATED."
    return advance(SERVICE, service.state, event, what=f"service '{service.name}'", hint=hint)


def _same_version(service: Service, apply: ApplyService) -> Version | None:
    """Find the live version that this request means: by name if it has one, else by content."""
    found = next(iter(meant(service, apply)), None)
    if apply.version is None:
        return found if found and _fits(found, apply) else None
    if found and not _fits(found, apply):
        raise ConflictError(
            f"version '{apply.version}' of service '{service.name}' exists with another configuration.",
            hint="Give the new configuration a version_name of its own, or none.",
            status=409,
        )
    return found


def meant(service: Service, apply: ApplyService) -> list[Version]:
    """Give the live versions that a deploy may mean, before what they run is looked at."""
    living = [v for v in (service.canary, service.primary) if v and _alive(v)]
    if apply.version is not None:
        return [v for v in living if v.name == apply.version]
    # Without a name only a canary may be meant: a plain re-deploy of the primary is a new version.
    return [v for v in living if v is service.canary]


def _alive(version: Version) -> bool:
    return version.state not in {ServiceVersionState.TERMINATING, ServiceVersionState.TERMINATED}


def _fits(version: Version, apply: ApplyService) -> bool:
    spec = _spec(apply)
    wanted = {name: value for name, value in version.wanted.items() if name != "fetched"}
    if apply.config is None:  # a request that moves only the weight carries no config
        return {**wanted, "config": None} == {**spec, "config": None}
    return wanted == spec


def _again(service: Service, same: Version, apply: ApplyService, birth: Birth) -> Service:
    """The version is there already: the primary stays as it is, the canary's weight moves.

    It does so with the surge that the rollout was begun with, unless another is given.
    """
    state = advance(SERVICE, service.state, ServiceEvent.DEPLOY, what=f"service '{service.name}'")
    if same is service.primary:
        return service
    rollout = _rollout(apply, birth)
    if rollout.surge is None and service.rollout:
        rollout = rollout.replace(surge=service.rollout.surge)
    return service.replace(state=state, rollout=rollout)


def _start_canary(service: Service, apply: ApplyService, birth: Birth) -> Service:
    state = advance(SERVICE, service.state, ServiceEvent.DEPLOY, what=f"service '{service.name}'")
    spec = _spec(apply)
    if apply.config is None:
        spec["config"] = service.primary.wanted.get("config")
    leaving = (retire(service.canary, birth.now),) if service.canary else ()
    rollout = _rollout(apply, birth)
    return service.replace(
        state=state,
        primary=service.primary.replace(weight=100, capacity=WHOLE),
        canary=_version(apply, birth, spec).replace(capacity=alone(rollout.percent, rollout.surge).canary),
        rollout=rollout,
        retiring=(*service.retiring, *leaving),
        **_tokens(apply, service),
        error_message=None,
    )


def _rollout(apply: ApplyService, birth: Birth) -> Rollout:
    automatic = apply.canary_percent is None
    return Rollout(
        percent=apply.canary_percent or 0,
        automatic=automatic,
        since=birth.now,
        surge=apply.max_surge_percent,
    )


def retire(version: Version, now: float) -> Version:
    """Send a version on its way: no new requests, then its processes end."""
    state = advance(VERSION, version.state, VersionEvent.RETIRE, what=f"version '{version.name}'")
    return version.replace(state=state, since=now, weight=0, drain_since=version.drain_since or now)


def roll_back(service: Service, now: float, *, why: str | None = None, surge: int | None = None) -> Service:
    """Take the canary back; the primary version gets all of the traffic.

    It does so at once, whatever capacity it has by now, unless ``surge`` leaves less room than for two versions:
    then the traffic goes back in steps (``capacity``) while the canary is there to bear it.

    Raises:
        ConflictError: no rollout is in progress.
    """
    state = advance(SERVICE, service.state, ServiceEvent.ROLL_BACK, what=f"service '{service.name}'")
    if room(surge) is not None and service.canary and bears(service.canary):
        paced = Rollout(percent=0, automatic=False, since=now, surge=surge)
        return service.replace(state=state, rollout=paced)
    canary = retire(service.canary, now) if service.canary else None
    return service.replace(
        state=state,
        canary=canary,
        rollout=None,
        primary=service.primary.replace(weight=100, capacity=WHOLE),
        error_message=why or service.error_message,
    )


def bears(canary: Version) -> bool:
    """Say whether a canary that is to go may have traffic for a while yet."""
    return canary.state is ServiceVersionState.RUNNING and canary.ready and canary.weight > 0


def terminate(service: Service, now: float) -> Service:
    """Stop the service: every version drains and ends. Asking twice does no harm."""
    state = advance(SERVICE, service.state, ServiceEvent.TERMINATE, what=f"service '{service.name}'")
    if state is service.state:
        return service
    leaving = (retire(service.canary, now),) if service.canary else ()
    return service.replace(
        state=state,
        primary=retire(service.primary, now),
        canary=None,
        rollout=None,
        retiring=(*service.retiring, *leaving),
    )
