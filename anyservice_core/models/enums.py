"""The states and choices of the API, with one rule for all: an unknown answer never breaks a client."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ServiceSortField", "ServiceState", "ServiceVersionState", "SortOrder"]


class _LenientState(StrEnum):
    @classmethod
    def _missing_(cls, value: object) -> _LenientState | None:
        """Match in any case; anything the server invents later is ``UNKNOWN``."""
        text = str(value).upper()
        return cls.__members__.get(text) or cls.__members__["UNKNOWN"]


class ServiceState(_LenientState):
    """Current state of a service."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    UPDATING = "UPDATING"
    ROLLING_OUT = "ROLLING_OUT"
    ROLLING_BACK = "ROLLING_BACK"
    UNHEALTHY = "UNHEALTHY"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    UNKNOWN = "UNKNOWN"
    SYSTEM_FAILURE = "SYSTEM_FAILURE"


class ServiceVersionState(_LenientState):
    """Current state of one version of a service."""

    STARTING = "STARTING"
    UPDATING = "UPDATING"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    SYSTEM_FAILURE = "SYSTEM_FAILURE"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    UNKNOWN = "UNKNOWN"


class ServiceSortField(StrEnum):
    """What a list of services may be sorted by."""

    STATUS = "STATUS"
    NAME = "NAME"
    CREATED_AT = "CREATED_AT"


class SortOrder(StrEnum):
    """Direction of a sort."""

    ASC = "ASC"
    DESC = "DESC"
