"""A dry run: what a deploy would do, found out with questions alone.

It goes the way of a deploy up to the one request that changes the service, with the same code, but makes nothing on the
way. Names and folders that the server has to be asked about are asked about, so what cannot work fails here as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyservice_core.effects import Op, overheard
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.differences import asked_for, changes, shown
from anyservice_core.models.preview import Change, DeployAction, DeployPreview, DeployRequest, PlannedUpload
from anyservice_core.models.wire import ApplyService, ServiceWire, VersionWire
from anyservice_core.operations.applying import write
from anyservice_core.operations.arrival import already_there, canary_meant, is_down
from anyservice_core.operations.bundles import Uploaded
from anyservice_core.operations.drafting import Draft, Options, draft, live, placed
from anyservice_core.operations.notices import Ignored

__all__ = ["preview"]

_LEAVING = frozenset({"TERMINATING", "TERMINATED"})
_MAKES = {
    "compute_config": "a compute config, as it is written out and differs from those in use",
    "image": "an image, registered or built, as none in use is known to be the same",
}


def preview(
    config: ServiceConfig | Mapping[str, Any] | str | Path,
    *,
    in_place: bool = False,
    canary_percent: int | None = None,
    max_surge_percent: int | None = None,
    cloud: str | None = None,
    project: str | None = None,
) -> Op[DeployPreview]:
    """What ``deploy`` would do with the same arguments; nothing is changed, uploaded, registered or built.

    Gives the request that would be sent, and the differences to the version that is live. Raises what ``deploy`` would,
    as far as questions can tell: ``ConfigError`` for what cannot work, ``ConflictError`` for what is in the way.
    """
    options = Options(in_place, canary_percent, max_surge_percent)
    events: list[Any] = []
    wanted = placed(ServiceConfig.parse(config), cloud, project)
    found = yield from overheard(draft(wanted, options, dry=True), events.append)
    return _shown(found, events)


def _shown(found: Draft, events: list[Any]) -> DeployPreview:
    body, before = found.body, found.before
    action, version = _action(body, before)
    live_one = version or _baseline(before)
    sends = action is not DeployAction.NOTHING
    now = shown(before, live_one, body) if before and live_one else None
    return DeployPreview(
        service=body.name,
        service_id=before.id if before else None,
        version_name=body.version,
        action=action,
        summary=_summary(action, body, before, version),
        beside=_beside(action, before),
        replaces=_replaced(action, before),
        weight=body.canary_percent,
        compared_with=live_one and live_one.version,
        request=DeployRequest(method=write(body).method, path=write(body).path, body=body.body())
        if sends
        else None,
        changes=[*_moves(action, body, version), *changes(now, asked_for(body))] if sends else [],
        uploads=[_planned(event) for event in events if isinstance(event, Uploaded)],
        makes=[_MAKES[what] for what in found.unmade],
        notes=[*(str(event) for event in events if isinstance(event, Ignored)), *_notes(body, before)],
    )


def _moves(action: DeployAction, body: ApplyService, version: VersionWire | None) -> list[Change]:
    if action is not DeployAction.WEIGHT or version is None:
        return []
    to = "all, by itself" if body.canary_percent is None else body.canary_percent
    return [Change(path="canary_percent", before=version.weight, after=to)]


def _planned(event: Uploaded) -> PlannedUpload:
    return PlannedUpload(folder=event.folder, uri=event.uri, size=event.size, known=event.known)


# ── what it comes to ────────────────────────────────────────────────────────


def _action(body: ApplyService, before: ServiceWire | None) -> tuple[DeployAction, VersionWire | None]:
    """In a word, and the version that is there already, if it is about one."""
    if before is None:
        return DeployAction.CREATE, None
    if is_down(before):
        return DeployAction.RESTART, None
    if body.rollout_strategy == "IN_PLACE":
        return DeployAction.IN_PLACE, before.primary_version
    if there := already_there(before, body):
        return DeployAction.NOTHING, there
    if same := canary_meant(before, body):
        return DeployAction.WEIGHT, same
    return (DeployAction.UPDATE if body.canary_percent is None else DeployAction.CANARY), None


def _baseline(before: ServiceWire | None) -> VersionWire | None:
    """What a new version is compared with: the one that serves, or served last."""
    return before.primary_version if before else None


def _beside(action: DeployAction, before: ServiceWire | None) -> str | None:
    sides = {DeployAction.CANARY, DeployAction.UPDATE, DeployAction.WEIGHT}
    primary = before.primary_version if before and action in sides else None
    return primary.version if primary else None


def _replaced(action: DeployAction, before: ServiceWire | None) -> str | None:
    canary = before.canary_version if before else None
    replaced = action in {DeployAction.CANARY, DeployAction.UPDATE}
    return canary.version if canary and canary.current_state not in _LEAVING and replaced else None


def _summary(
    action: DeployAction, body: ApplyService, before: ServiceWire | None, version: VersionWire | None
) -> str:
    new = f"version {body.version}" if body.version else "a new version"
    primary = before.primary_version.version if before and before.primary_version else "?"
    canary = f", in place of the canary {gone}" if (gone := _replaced(action, before)) else ""
    here = version.version if version else "?"
    return {
        DeployAction.CREATE: f"a new service with {new}",
        DeployAction.RESTART: f"started again, with {new}",
        DeployAction.CANARY: f"{new} as a canary at {body.canary_percent}% beside version {primary}{canary}",
        DeployAction.UPDATE: f"{new} takes over from version {primary} by itself{canary}",
        DeployAction.WEIGHT: f"the canary {here} moves {_towards(body, version)}",
        DeployAction.IN_PLACE: f"version {here} is changed in place",
        DeployAction.NOTHING: f"version {here} is there already, nothing to send",
    }[action]


def _towards(body: ApplyService, version: VersionWire | None) -> str:
    now = f"from {version.weight}%" if version else ""
    return (
        f"{now} to all of the traffic by itself"
        if body.canary_percent is None
        else f"{now} to {body.canary_percent}%"
    )


def _clashes(body: ApplyService, before: ServiceWire) -> bool:
    """Whether the name is taken by a version that runs something else."""
    if not body.version or is_down(before) or body.rollout_strategy == "IN_PLACE":
        return False
    living = [version for version in live(before) if version.current_state not in _LEAVING]
    same = already_there(before, body) or canary_meant(before, body)
    return same is None and body.version in {version.version for version in living}


def _notes(body: ApplyService, before: ServiceWire | None) -> list[str]:
    notes = []
    if before and _clashes(body, before):
        notes.append(
            f"version_name {body.version!r} is taken by another configuration, which a server may refuse"
        )
    if before and is_down(before) and before.current_state != "TERMINATED":
        notes.append("the service is being terminated, and takes no deploy before that is done")
    if body.tags:
        notes.append("tags are set; they are not compared, as a service does not show them")
    return notes
