"""Which state may follow which: two tables and a five-line interpreter.

A *version* is started, runs, may fall ill and heal, and is retired. Retiring is a promise to its
users before it is an act: the weight goes to 0, requests under way end, then the processes stop.

    STARTING ──ready──► RUNNING ◄──ready── UNHEALTHY
        │  ▲               │ └──────sick──────►▲ │
        │  └──────lost─────┘                   │ │ lost: started again
        ├──fail────────────────────────────────┘ ▼
        └──retire──► TERMINATING ──gone──► TERMINATED

A version is UNHEALTHY when its application says so, and may mend. SYSTEM_FAILURE is a host that keeps dying: it was
started again ``max_starts`` times and died each time before it had been well for a while. One that
served before is tried again every minute, and is RUNNING when it answers.

An update in place leads to UPDATING from all of these but TERMINATING and TERMINATED, and from there to
RUNNING when the new code serves, or to UNHEALTHY when it does not come up; the old code serves meanwhile
(``in_place``).

A *service* follows its primary version, except while something is being done to it:

    STARTING ──up──► RUNNING ──deploy──► ROLLING_OUT ──promoted──► RUNNING
                       │ ▲                    │
                  sick ▼ │ up                 └─roll_back──► ROLLING_BACK ──restored──► RUNNING
                     UNHEALTHY
    STARTING, RUNNING, UNHEALTHY ──update──► UPDATING ──up──► RUNNING, ──sick──► UNHEALTHY,
                                                       └──deploy──► ROLLING_OUT
    any of these but the rollouts ──broken──► SYSTEM_FAILURE, from which the same leads on as from UNHEALTHY
    any of these ──terminate──► TERMINATING ──stopped──► TERMINATED ──deploy, restart──► STARTING

Only what has ended is archived, which hides it, or deleted, which leaves nothing of it.

A cell that is not in a table is a move that must not be made. Whoever asks for it gets a
``ConflictError`` that says what is possible instead; nothing in the plane compares states to
decide whether a move is allowed, and no state is set but by ``advance``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from anyservice_core.errors import ConflictError
from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V

__all__ = ["SERVICE", "VERSION", "ServiceEvent", "VersionEvent", "advance", "allowed"]


class VersionEvent(StrEnum):
    """What can happen to a version."""

    READY = "ready"
    SICK = "sick"
    FAIL = "fail"
    LOST = "lost"
    BROKEN = "broken"
    UPDATE = "update"
    RETIRE = "retire"
    GONE = "gone"


class ServiceEvent(StrEnum):
    """What can happen to a service."""

    UP = "up"
    SICK = "sick"
    BROKEN = "broken"
    DEPLOY = "deploy"
    UPDATE = "update in place"
    PROMOTED = "promoted"
    ROLL_BACK = "roll back"
    RESTORED = "restored"
    WEIGH = "weigh"
    TERMINATE = "terminate"
    STOPPED = "stopped"
    RESTART = "restart"
    ARCHIVE = "archive"
    DELETE = "delete"


_ASKED_FOR: Final = frozenset(
    {
        ServiceEvent.DEPLOY,
        ServiceEvent.UPDATE,
        ServiceEvent.ROLL_BACK,
        ServiceEvent.WEIGH,
        ServiceEvent.TERMINATE,
        ServiceEvent.ARCHIVE,
        ServiceEvent.DELETE,
        VersionEvent.UPDATE,
    }
)
"""What people ask for; the others are what happens of itself, or is a part of these."""

_v = VersionEvent
_LIVING: Final[Mapping[VersionEvent, V]] = {
    _v.READY: V.RUNNING,
    _v.SICK: V.UNHEALTHY,
    _v.FAIL: V.UNHEALTHY,
    _v.LOST: V.STARTING,
    _v.BROKEN: V.SYSTEM_FAILURE,
    _v.UPDATE: V.UPDATING,
    _v.RETIRE: V.TERMINATING,
}
VERSION: Final[Mapping[V, Mapping[VersionEvent, V]]] = {
    V.STARTING: _LIVING,
    V.RUNNING: _LIVING,
    V.UNHEALTHY: _LIVING,
    V.UPDATING: _LIVING,
    V.SYSTEM_FAILURE: _LIVING,
    V.TERMINATING: {_v.RETIRE: V.TERMINATING, _v.GONE: V.TERMINATED},
    V.TERMINATED: {},
}

_s = ServiceEvent
_SERVING: Final[Mapping[ServiceEvent, S]] = {
    _s.UP: S.RUNNING,
    _s.SICK: S.UNHEALTHY,
    _s.BROKEN: S.SYSTEM_FAILURE,
    _s.DEPLOY: S.ROLLING_OUT,
    _s.UPDATE: S.UPDATING,
    _s.TERMINATE: S.TERMINATING,
}
SERVICE: Final[Mapping[S, Mapping[ServiceEvent, S]]] = {
    S.STARTING: _SERVING,
    S.RUNNING: _SERVING,
    S.UNHEALTHY: _SERVING,
    S.UPDATING: _SERVING,
    S.SYSTEM_FAILURE: _SERVING,
    S.ROLLING_OUT: {
        _s.DEPLOY: S.ROLLING_OUT,
        _s.WEIGH: S.ROLLING_OUT,
        _s.PROMOTED: S.RUNNING,
        _s.ROLL_BACK: S.ROLLING_BACK,
        _s.TERMINATE: S.TERMINATING,
    },
    S.ROLLING_BACK: {
        _s.DEPLOY: S.ROLLING_OUT,
        _s.ROLL_BACK: S.ROLLING_BACK,
        _s.RESTORED: S.RUNNING,
        _s.TERMINATE: S.TERMINATING,
    },
    S.TERMINATING: {_s.TERMINATE: S.TERMINATING, _s.STOPPED: S.TERMINATED},
    S.TERMINATED: {
        _s.DEPLOY: S.STARTING,
        _s.RESTART: S.STARTING,
        _s.TERMINATE: S.TERMINATED,
        _s.ARCHIVE: S.TERMINATED,
        _s.DELETE: S.TERMINATED,
    },
}

StateT = TypeVar("StateT", S, V)
EventT = TypeVar("EventT", ServiceEvent, VersionEvent)


def advance(
    table: Mapping[StateT, Mapping[EventT, StateT]],
    state: StateT,
    event: EventT,
    *,
    what: str,
    hint: str | None = None,
) -> StateT:
    """Give the state that ``event`` leads to from ``state``.

    Args:
        what: whose state it is, for the message.
        hint: the way out, if there is one that is always right.

    Raises:
        ConflictError: the table has no such move.
    """
    try:
        return table[state][event]
    except KeyError:
        raise ConflictError(_refusal(table, state, event, what), hint=hint, status=409) from None


def allowed(table: Mapping[StateT, Mapping[EventT, StateT]], state: StateT, event: EventT) -> bool:
    """Say whether the table has this move."""
    return event in table.get(state, {})


def _refusal(table: Mapping[StateT, Mapping[EventT, StateT]], state: StateT, event: EventT, what: str) -> str:
    from_here = ", ".join(sorted(_ASKED_FOR & table.get(state, {}).keys())) or "nothing"
    states = ", ".join(s for s in table if event in table[s]) or "no state"
    return f"{what} is {state}: '{event}' is possible in {states}; from {state} there is: {from_here}."
