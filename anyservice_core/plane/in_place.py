"""Updates in place: a version gets new code under its old id, and those who ask it notice nothing.

What is wanted is kept in the version as an ``Update``, so a plane that was killed goes on with it. A
further *generation* of the version is started beside the one that serves; only when it answers does it
take the seat at the router, and only when the router sends nobody to the old one any more does that end:

    asked ──► new generation starts ──► it answers: it takes the seat ──► the old one drains ──► and ends
                     │                                                     (the version is RUNNING by now)
                     └── it fails, or is not well for ``sick_s`` ──► it ends; the old one goes on serving

How much the generations share is the engine's choice. On ``process`` each is a process of its own, and
the seat's address moves. On ``ray`` both have their replicas in the version's one cluster, whose own
proxy moves the route, so the address stays.

While the update is under way the version is UPDATING and shows the configuration that it shall have. When
that cannot be, it is UNHEALTHY, and so is the service, although requests are answered: what was asked for
is not what runs, and whoever waits for it must not take the old code for the new. Message, event and
checklist say why. It stays so until another update in place brings code that works or the code that runs
(then there is nothing to start, and all is well again), or until a new version takes its place.

A version that serves nothing, because it never came up, is updated in the same way: there is then nobody
to spare. If the host that serves is lost during an update, it is started again first.

What belongs to the cluster or the proxy, which stay, cannot be changed in place: image, compute config,
external storage and tracing keep their values, and other proxy options are refused. So are several
applications with gRPC, whose calls name one of them: while both generations run, those of one have other names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyservice_core.errors import ConflictError, NotFoundError, RejectedError
from anyservice_core.models.wire import ApplyService
from anyservice_core.plane.engines.base import EngineState, Observed
from anyservice_core.plane.lifecycle import SERVICE, VERSION, ServiceEvent, VersionEvent, advance
from anyservice_core.plane.sight import SETTLE_S, Options, Sight
from anyservice_core.plane.state import Leaving, Service, Update, Version

__all__ = ["ends", "failed", "follow", "give_up", "seen_as", "update", "wants_start"]

_OF_THE_CLUSTER = (
    "build_id",
    "compute_config_id",
    "ray_gcs_external_storage_config",
    "tracing_config",
)
_OF_THE_PROXY = ("http_options", "grpc_options")
LONG_AGO = 0.0

# ── the request ─────────────────────────────────────────────────────────────


def update(service: Service | None, apply: ApplyService, spec: Mapping[str, Any], now: float) -> Service:
    """Ask the running version to run ``spec`` from now on.

    Asked again for what is under way already, it changes nothing.

    Raises:
        NotFoundError: there is no such service.
        ConflictError: the service has ended or is ending, or a rollout is in progress.
        RejectedError: the request has a percentage, or changes what belongs to the proxy, or has several
            applications that answer gRPC.
    """
    _refuse_percentages(apply)
    if service is None:
        raise NotFoundError(
            f"Service '{apply.name}' was not found, so there is nothing to update IN_PLACE.",
            hint="Deploy it without in_place.",
            status=404,
        )
    state = advance(SERVICE, service.state, ServiceEvent.UPDATE, what=f"service '{service.name}'")
    if service.canary is not None:  # the table knows: there is none in these states
        raise ConflictError(f"service '{service.name}' has a canary.", status=409)
    wanted = {**_without(spec, _OF_THE_CLUSTER), **_only(service.primary.spec, _OF_THE_CLUSTER)}
    _refuse_other_proxy(service.primary, wanted)
    _refuse_named_calls(wanted)
    primary = _ask(service.primary, wanted).replace(name=apply.version or service.primary.name, since=now)
    return service.replace(state=state, primary=primary, error_message=None)


def _refuse_percentages(apply: ApplyService) -> None:
    for field in ("canary_percent", "max_surge_percent"):
        if getattr(apply, field) is not None:
            raise RejectedError(
                f"{field} has no meaning with rollout_strategy IN_PLACE.",
                hint="Leave one of them out.",
                status=422,
            )


def _refuse_other_proxy(version: Version, wanted: Mapping[str, Any]) -> None:
    for field in _OF_THE_PROXY:
        present = version.spec["ray_serve_config"].get(field) or {}
        if (wanted["ray_serve_config"].get(field) or {}) != present:
            raise RejectedError(
                f"ray_serve_config.{field} cannot be changed IN_PLACE: the proxy that has them stays.",
                hint="Leave it as it is, or deploy without in_place.",
                status=422,
            )


def _refuse_named_calls(wanted: Mapping[str, Any]) -> None:
    serve = wanted["ray_serve_config"]
    options = serve.get("grpc_options") or {}
    if options.get("grpc_servicer_functions") and len(serve["applications"]) > 1:
        raise RejectedError(
            "ray_serve_config.applications: several that answer gRPC cannot be updated IN_PLACE.",
            hint="Deploy without in_place.",
            status=422,
        )


def _ask(version: Version, wanted: dict[str, Any]) -> Version:
    state = advance(VERSION, version.state, VersionEvent.UPDATE, what=f"version '{version.name}'")
    present = version.update
    if present is not None and not present.failed and _same_code(present.spec, wanted):
        return version.replace(state=state, update=present.replace(spec=wanted))
    version = _drop(version)
    if _same_code(version.spec, wanted) and not version.failed:
        return version.replace(state=state, spec=wanted, message="")
    return version.replace(
        state=state,
        message="updating in place",
        update=Update(generation=_next_generation(version, present), spec=wanted),
    )


def _drop(version: Version) -> Version:
    """Want the present update no more; its host, which has no seat, may end at once."""
    if version.update is None:
        return version
    return version.replace(update=None, leaving=_with(version.leaving, version.update.generation, LONG_AGO))


def _next_generation(version: Version, present: Update | None) -> int:
    """Take a number that no host of it may still have."""
    numbers = [version.generation, *(left.generation for left in version.leaving)]
    return max([*numbers, present.generation if present else 0]) + 1


def _same_code(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(part) == other.get(part) for part in ("ray_serve_config", "fetched"))


def _only(spec: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name in names}


def _without(spec: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name not in names}


# ── the steps ───────────────────────────────────────────────────────────────


def follow(version: Version, sight: Sight, now: float, options: Options) -> Version:
    """Look at the coming generation: let it take over, or give it up; forget those that ended."""
    version = _forget(version, sight)
    update = version.update
    if update is None or update.failed:
        return version
    host = sight.of(version.host_of(update.generation))
    if host.state is EngineState.RUNNING:
        return _take_over(version, update, host, now)
    if why := _hopeless(update, host, now, options):
        return give_up(version, why)
    sick = host.state is EngineState.UNHEALTHY
    return version.replace(
        message=f"updating in place: {host.message}" if host.message else version.message,
        update=update.replace(sick_since=(update.sick_since or now) if sick else None),
    )


def _hopeless(update: Update, host: Observed, now: float, options: Options) -> str | None:
    """Say why the coming generation will not come up, if it will not."""
    if host.state is EngineState.FAILED:
        return host.message
    if host.state is EngineState.GONE and update.starts >= options.max_starts:
        return host.message or f"its host ended {update.starts} times"
    if host.state is EngineState.UNHEALTHY and now - (update.sick_since or now) >= options.sick_s:
        return f"not well for {options.sick_s:g} s: {host.message}"
    return None


def _take_over(version: Version, update: Update, host: Observed, now: float) -> Version:
    return version.replace(
        generation=update.generation,
        spec=update.spec,
        update=None,
        address=host.address,
        failed=False,
        starts=1,
        start_after=0.0,
        leaving=_with(version.leaving, version.generation, now),
    )


def give_up(version: Version, why: str) -> Version:
    """Let the update have failed; what ran before it goes on."""
    update = version.update
    if update is None:
        return version
    serves = " What ran before it goes on serving." if version.address else ""
    return _drop(version).replace(
        update=update.replace(failed=True), message=f"The update in place failed: {why.rstrip('.')}.{serves}"
    )


def failed(version: Version) -> bool:
    """Say whether what the version was last asked to run is not what it runs, and will not be."""
    return version.update is not None and version.update.failed


def seen_as(version: Version, event: VersionEvent) -> VersionEvent:
    """Say what an event of the host that serves means for a version that was asked for something else."""
    if version.update is None:
        return event
    if not version.update.failed:
        return VersionEvent.UPDATE
    return VersionEvent.SICK if event is VersionEvent.READY else event


def wants_start(version: Version, sight: Sight, now: float) -> bool:
    """Say whether the coming generation's host is to be started now: after the one that serves, if that is lost."""
    update = version.update
    if update is None or update.failed or now < update.start_after:
        return False
    alone = version.failed or sight.host(version).state is not EngineState.GONE
    return alone and sight.of(version.host_of(update.generation)).state is EngineState.GONE


def ends(version: Version, sight: Sight, now: float, options: Options) -> tuple[str, ...]:
    """Name the hosts without a seat that may end: the router obeys, and no request is under way there."""
    return tuple(
        version.host_of(left.generation)
        for left in version.leaving
        if _drained(left, sight.of(version.host_of(left.generation)), sight, now, options)
    )


def _drained(left: Leaving, host: Observed, sight: Sight, now: float, options: Options) -> bool:
    waited = now - left.since
    idle = waited >= SETTLE_S and not host.under_way
    return sight.routed and (idle or waited >= options.drain_s)


def _forget(version: Version, sight: Sight) -> Version:
    kept = tuple(
        left
        for left in version.leaving
        if sight.of(version.host_of(left.generation)).state is not EngineState.GONE
    )
    return version if kept == version.leaving else version.replace(leaving=kept)


def _with(leaving: tuple[Leaving, ...], generation: int, since: float) -> tuple[Leaving, ...]:
    others = tuple(left for left in leaving if left.generation != generation)
    return (*others, Leaving(generation=generation, since=since))
