"""A rollout in two hands: begun where the config is, watched where it is not.

Only one move of a rollout takes the config: the deploy. All others name the version that the server
has. So whoever holds the config and its secrets *begins*, and hands on plain values, the ``Relay``; whoever
*follows* with them needs neither files nor secrets. Should the deploy still be to come when the
relay is handed on, because another rollout is in the way, the follower says when its time has come, and it is
begun again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from anyservice_core.effects import Op
from anyservice_core.models.config import ServiceConfig
from anyservice_core.operations.rollout import Rollout, opened
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import RolloutReport

__all__ = ["Relay", "begin", "follow", "resume"]


class Relay(BaseModel):
    """A rollout under way: where it is, and what it remembers. It holds no config, hence no secret."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    service: str
    service_id: str | None = None
    cloud: str | None = None
    project: str | None = None
    journal: Journal

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values."""
        return self.model_dump(mode="json")


def begin(
    config: ServiceConfig | Mapping[str, Any] | str | Path,
    plan: RolloutPlan | Mapping[str, Any] | str | Path,
    *,
    journal: Journal | Mapping[str, Any] | None = None,
    force: bool = False,
    cloud: str | None = None,
    project: str | None = None,
    until: int | None = None,
) -> Op[Relay | RolloutReport]:
    """Do what ``rollout`` does up to its first pause: one look, and what it calls for, such as the deploy.

    Takes and raises what ``rollout`` does. With ``until`` it is a part of a rollout: when the canary has baked at that
    weight and nothing else holds it, the gate ``end`` does (``Journal.gate``), and whoever runs the next part goes on from
    the journal. Returns the report if that was all, else what ``follow`` takes.
    """
    run = yield from opened(
        config,
        plan,
        journal=journal,
        force=force,
        poll_interval_s=2.0,
        cloud=cloud,
        project=project,
        until=until,
    )
    report = yield from run.step()
    return report or _handed_on(run)


def resume(
    relay: Relay | Mapping[str, Any], plan: RolloutPlan | Mapping[str, Any] | str | Path
) -> Op[Relay | RolloutReport | None]:
    """Take one look at a rollout that was begun before, and do what that calls for: ``begin`` without a config.

    Whatever has become of the files meanwhile, it is about the version that was deployed. Returns and raises what ``begin``
    does; ``None`` when it is time to deploy: then ``begin`` again.
    """
    run = _follower(relay, plan, 2.0)
    try:
        return (yield from run.step()) or _handed_on(run)
    except _TimeToDeployError:
        return None


def follow(
    relay: Relay | Mapping[str, Any],
    plan: RolloutPlan | Mapping[str, Any] | str | Path,
    *,
    poll_interval_s: float = 2.0,
) -> Op[RolloutReport | None]:
    """Go on with a rollout to its end, as ``rollout`` would.

    Returns the report, or ``None`` when it is time to deploy: then ``begin`` again. Raises what ``rollout`` does.
    """
    run = _follower(relay, plan, poll_interval_s)
    run.introduced, run.gate_told = True, run.journal.gate
    try:
        return (yield from run.loop())
    except _TimeToDeployError:
        return None


def _handed_on(run: Rollout) -> Relay:
    return Relay(
        service=run.name,
        service_id=run.service_id,
        cloud=run.config.cloud,
        project=run.config.project,
        journal=run.journal,
    )


def _follower(
    relay: Relay | Mapping[str, Any],
    plan: RolloutPlan | Mapping[str, Any] | str | Path,
    poll_interval_s: float,
) -> _Follower:
    known = Relay.model_validate(relay)
    where = ServiceConfig.model_construct(
        name=known.service,
        cloud=known.cloud,
        project=known.project,
        version_name=known.journal.version_name,
        applications=[],
    )
    return _Follower(where, RolloutPlan.parse(plan), known.journal, poll_interval_s, known.service_id)


class _TimeToDeployError(Exception):
    """Ends the follower's loop."""


class _Follower(Rollout):
    """A rollout whose config is elsewhere: it knows the service's name and place only."""

    def deploy(self, weight: int, *, whole: bool) -> Op[bool]:  # noqa: ARG002
        raise _TimeToDeployError
