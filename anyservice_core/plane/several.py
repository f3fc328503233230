"""Several versions at once: a split of the traffic that is meant to stay.

This plane gives each service two seats at its router, so two versions may have traffic. The one that serves
already, or of a new service the one that has most, is shown as the primary and the other as a canary held at
its percent, without a limit. A version at 0 gets none and ends. More than two, or two of which neither
serves now, are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from anyservice_core.errors import ConflictError
from anyservice_core.models.enums import ServiceState
from anyservice_core.models.wire import ApplyService
from anyservice_core.models.wire.base import Percent, Wire
from anyservice_core.plane import catalog
from anyservice_core.plane.state import Service

__all__ = ["Several", "in_order"]


class _Share(ApplyService):
    traffic_percent: Percent

    @model_validator(mode="before")
    @classmethod
    def _one_of_several(cls, given: Any) -> Any:
        """Let each share say MULTI_VERSION as well, which is how official clients write it."""
        if isinstance(given, dict) and given.get("rollout_strategy") == "MULTI_VERSION":
            return {key: value for key, value in given.items() if key != "rollout_strategy"}
        return given


class Several(Wire):
    """Body of ``PUT /api/v2/services-v2/apply_multi_version``."""

    rollout_strategy: Literal["MULTI_VERSION"] = "MULTI_VERSION"
    cloud_id: str | None = None
    project_id: str | None = None
    service_versions: Annotated[list[_Share], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [share.version for share in self.service_versions]
        if len({share.name for share in self.service_versions}) > 1:
            raise ValueError("service_versions are of more than one service")
        if None in names or len(set(names)) < len(names):
            raise ValueError("service_versions need a version each, and no two the same")
        total = sum(share.traffic_percent for share in self.service_versions)
        if total != 100:
            raise ValueError(f"traffic_percent adds up to {total}, not to 100")
        if len(self.shares) > 2:
            raise ValueError(f"{len(self.shares)} versions with traffic: this plane serves two at once")
        return self

    @property
    def shares(self) -> list[_Share]:
        """Those that shall have traffic, the largest first."""
        found = [share for share in self.service_versions if share.traffic_percent]
        return sorted(found, key=lambda share: -share.traffic_percent)

    @property
    def name(self) -> str:
        return self.service_versions[0].name

    @property
    def project(self) -> str:
        return self.project_id or catalog.PROJECT.id


def in_order(asked: Several, present: Service | None) -> list[ApplyService]:
    """Give the deploys that lead there: that of the one that serves, or shall serve first, and then the other's.

    Raises:
        ConflictError: neither of two versions serves now.
    """
    ended = present is None or present.state is ServiceState.TERMINATED
    serving = asked.shares[0].version if present is None or ended else present.primary.name
    others = [share for share in asked.shares if share.version != serving]
    if len(others) > 1:
        raise ConflictError(
            f"neither {' nor '.join(repr(share.version) for share in others)} is what service"
            f" '{asked.name}' serves now, '{serving}': this plane serves two versions at once.",
            hint="Give one of them traffic beside it first, and all of the traffic later.",
            status=409,
        )
    first = [_deploy(share, None) for share in asked.shares if share.version == serving]
    return [*first, *(_deploy(share, share.traffic_percent) for share in others)]


def _deploy(share: _Share, percent: int | None) -> ApplyService:
    given = share.model_dump(exclude={"traffic_percent"}, exclude_unset=True)
    return ApplyService.model_validate({**given, "canary_percent": percent, "rollout_strategy": "ROLLOUT"})
