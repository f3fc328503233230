"""What a user reads back: the status of a service and of its versions, and the id that a deploy gives."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.enums import ServiceState, ServiceVersionState

__all__ = ["ServiceCheck", "ServiceId", "ServiceStatus", "ServiceVersionStatus"]


_ONLY_IF_THERE: Final = frozenset({"raw_state", "checklist"})


class _Status(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values; the query token is among them, so mind where this is written."""
        fields = self.model_dump(mode="json")
        return {k: v for k, v in fields.items() if v not in (None, []) or k not in _ONLY_IF_THERE}


class ServiceCheck(_Status):
    """What the server last saw one part of a service to be, since ``since``.

    ``label`` names the part: ``Router``, ``Host``. ``version`` is the name of the version that it belongs to, ``None``
    where all share it.
    """

    label: str
    state: str
    message: str = ""
    version: str | None = None
    since: datetime | None = None


class ServiceVersionStatus(_Status):
    """One version of a service: ``weight`` is its percent of the traffic, ``name`` its ``version_name``.

    ``raw_state`` is the server's own word for the state, where ``state`` has another.
    """

    id: str
    name: str
    state: ServiceVersionState
    weight: int
    created_at: datetime
    config: ServiceConfig = Field(repr=False)
    raw_state: str | None = None

    def is_called(self, version: str) -> bool:
        """Whether ``version`` is this one's id, the end of it that some tools show, or its name."""
        return version in {self.id, self.name} or (len(version) >= 8 and self.id.endswith(version))

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "config": self.config.to_dict()}


class ServiceStatus(_Status):
    """A service as the server says it is.

    During a rollout ``primary_version`` is the one that ran before and ``canary_version`` the new one;
    otherwise the latter is ``None``. ``versions`` are those two or fewer. ``query_auth_token`` opens
    ``query_url`` as ``Authorization: Bearer <token>`` and is kept out of ``repr``. ``raw_state`` is the server's
    own word for the state, where ``state`` has another: ``UNKNOWN`` stands for all that is news to this client.
    ``checklist`` is what its parts were last seen to be; not every server has one.
    """

    id: str
    name: str
    state: ServiceState
    query_url: str
    query_auth_token: str | None = Field(default=None, repr=False)
    creator: str | None = None
    project: str | None = None
    primary_version: ServiceVersionStatus | None = None
    canary_version: ServiceVersionStatus | None = None
    versions: list[ServiceVersionStatus] = []
    error_message: str | None = None
    raw_state: str | None = None
    checklist: list[ServiceCheck] = Field(default=[], repr=False)

    def version(self, name: str) -> ServiceVersionStatus | None:
        """The primary or canary version with this name or id."""
        both = (self.primary_version, self.canary_version)
        return next((version for version in both if version and version.is_called(name)), None)

    def to_dict(self) -> dict[str, Any]:
        versions = [version.to_dict() for version in self.versions]
        primary = self.primary_version and self.primary_version.to_dict()
        canary = self.canary_version and self.canary_version.to_dict()
        named = {"primary_version": primary, "canary_version": canary, "versions": versions}
        return {**super().to_dict(), **named}


class ServiceId(str):
    """A service's id, as a ``str``, that also knows what was deployed.

    ``query_url`` is where it answers, ``console_url`` its page in the control plane's console.
    """

    __slots__ = ("console_url", "query_url", "service_name", "version_id", "version_name")
    console_url: str
    query_url: str
    service_name: str
    version_id: str
    version_name: str

    def __new__(
        cls,
        id: str,
        *,
        version_id: str = "",
        version_name: str = "",
        service_name: str = "",
        query_url: str = "",
        console_url: str = "",
    ) -> Self:
        self = super().__new__(cls, id)
        self.version_id, self.version_name = version_id, version_name
        self.service_name, self.query_url, self.console_url = service_name, query_url, console_url
        return self
