"""One rollout a service at a time, and by whom.

The server lets one canary in at a time, and that is the lock. What it cannot say is which DAG run stands behind a canary;
so each rollout leaves a note of that in an Airflow Variable, and whoever comes second reads it. The note is believed
only as long as Airflow says that its task is not over: a run that crashed holds nobody up.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, TypeAlias

from airflow.providers.common.compat.sdk import AirflowFailException, Variable

from airflow_provider.compat import task_state
from airflow_provider.hooks import report

if TYPE_CHECKING:
    from anyservice_core import Client
    from anyservice_core.operations.relay import Relay

__all__ = ["Holder", "OnConflict", "TakesTurns", "claim", "holder", "release"]

OnConflict: TypeAlias = Literal["wait", "fail"]
_OVER = frozenset({None, "success", "failed", "skipped", "removed", "upstream_failed"})
_log = logging.getLogger("airflow_provider")


class Holder(NamedTuple):
    """The task that rolls a service out. ``version`` is the version's name."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    version: str = ""

    @classmethod
    def of(cls, ti: Any, version: str = "") -> Holder:
        """The task that is running here."""
        return cls(ti.dag_id, ti.run_id, ti.task_id, getattr(ti, "map_index", -1), version)

    def same_task(self, other: Holder) -> bool:
        """Whether both are one task of one run, of whichever try."""
        return self[:4] == other[:4]

    def __str__(self) -> str:
        """For people."""
        return f"run {self.run_id} of DAG {self.dag_id}, task {self.task_id}"


def _note(service: str, conn_id: str) -> str:
    return f"anyservice_rollout__{conn_id}__{service}"


def holder(ti: Any, service: str, conn_id: str) -> Holder | None:
    """Who else rolls ``service`` out now, as far as Airflow knows."""
    try:
        text = Variable.get(_note(service, conn_id), None)
        found = Holder(**json.loads(text)) if text else None
        if found is None or found.same_task(Holder.of(ti)) or task_state(found) in _OVER:
            return None
    except Exception as error:  # noqa: BLE001  # a note is a help; the server keeps rollouts apart without it
        _log.debug("Who rolls %s out could not be looked up: %r", service, error)
        return None
    return found


def claim(ti: Any, service: str, conn_id: str, version: str) -> None:
    """Leave the note that this task rolls ``service`` out."""
    try:
        Variable.set(_note(service, conn_id), json.dumps(Holder.of(ti, version)._asdict()))
    except Exception as error:  # noqa: BLE001
        _log.debug("The note of who rolls %s out could not be left: %r", service, error)


def release(ti: Any, service: str, conn_id: str) -> None:
    """Take the note back, if it is this task's."""
    try:
        text = Variable.get(_note(service, conn_id), None)
        if text and Holder(**json.loads(text)).same_task(Holder.of(ti)):
            Variable.delete(_note(service, conn_id))
    except Exception as error:  # noqa: BLE001
        _log.debug("The note of who rolls %s out could not be taken back: %r", service, error)


class TakesTurns:
    """An operator that rolls out, and lets no other task do so at the same time."""

    conn_id: str
    poll_interval_s: float
    deferrable: bool
    on_conflict: OnConflict
    turn_timeout_s: float

    def take_turn(self, context: Any, service: str) -> None:
        """See to it that no other task rolls the service out: wait in the triggerer, or fail."""
        from airflow_provider.triggers import TurnTrigger

        other = holder(context["ti"], service, self.conn_id)
        if other is None:
            return
        report(f"{service}: {other} rolls out version {other.version} now")
        if self.on_conflict == "fail":
            _refuse(service, f"{other} rolls out version {other.version}")
        waiting = TurnTrigger(
            conn_id=self.conn_id,
            poll_interval_s=self.poll_interval_s,
            service=service,
            asker=Holder.of(context["ti"])._asdict(),
            deadline=time.time() + self.turn_timeout_s,
        )
        if not self.deferrable:
            waiting.wait_here()
            return
        self.hand_over(context, waiting, self.turn_timeout_s)  # type: ignore[attr-defined]

    def keep_turn(self, context: Any, client: Client, relay: Relay) -> None:
        """Leave the note once the version is there; a canary that no task has brought is refused where that is wanted."""
        if relay.journal.started:
            claim(context["ti"], relay.service, self.conn_id, relay.journal.version_name)
        elif self.on_conflict == "fail" and relay.service_id:
            canary = client.status(id=relay.service_id).canary_version
            if canary is not None and not canary.is_called(relay.journal.version_name):
                _refuse(relay.service, f"version {canary.name}, which is no task's of this Airflow")


def _refuse(service: str, why: str) -> NoReturn:
    raise AirflowFailException(f"{service} has a rollout under way: {why}. This one was not begun.")
