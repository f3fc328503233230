"""The states and choices of the API, with one rule for all: an unknown answer never breaks a client."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "ServiceSortField",
    "ServiceState",
    "ServiceVersionState",
    "SortOrder",
    "news",
    "service_error",
    "service_state",
]

_USER_ERROR = "USER_ERROR_FAILURE"  # the API's one state without a public name


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


def service_state(raw: str) -> ServiceState:
    """What the API's state means to a user: code of theirs that keeps failing is what unhealthy means."""
    return ServiceState.UNHEALTHY if raw == _USER_ERROR else ServiceState(raw)


def news(raw: str, state: StrEnum) -> str | None:
    """The server's own word, where ours is another."""
    return None if raw.upper() == state.value else raw


def service_error(raw: str, message: str | None) -> str | None:
    """What is wrong with a service, as the API's state and message say."""
    return message or (_USER_ERROR if raw == _USER_ERROR else None)


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
