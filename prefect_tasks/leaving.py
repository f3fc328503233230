"""What becomes of a canary when its run is cancelled, crashes or fails: nothing, unless taking it back was asked for.

Three hooks of Prefect's come here: ``on_cancellation`` and ``on_crashed`` of the flow, called by the process that runs
it or, after a SIGKILL, by the one that started that; and ``on_rollback`` of ``deploy`` in a transaction. Each may come
on top of another and come late, so a canary is taken back only while it still is the one that the run brought.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger, get_logger
from prefect.transactions import Transaction, get_transaction

from anyservice_core import ServiceConfig, ServiceId
from prefect_tasks.blocks import AnyserviceCredentials, Credentials
from prefect_tasks.memory import Memory
from prefect_tasks.naming import journal_key, service_name

__all__ = ["OnKill", "bring_back", "leave_or_take_back", "note_canary"]

OnKill: TypeAlias = Literal["leave", "rollback"]
_UNDO: Final = "anyservice_undo"


# ── the flow ────────────────────────────────────────────────────────────────


def leave_or_take_back(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Do with the canary what ``on_kill`` says. Prefect calls it by these very names."""
    log = flow_run_logger(flow_run, flow)
    name = service_name(flow_run.parameters.get("config"))
    how = f"{name}: the run is {state.type.value.lower()}."
    if flow_run.parameters.get("on_kill") != "rollback":
        log.warning(
            "%s The service was left as it is, a canary included. Run the same rollout again to go on from its "
            "weight, or take it back with `anyservice rollback %s`.",
            how,
            name,
        )
        return
    try:
        log.warning("%s %s.", how, _take_back_of(flow_run))
    except Exception:
        log.exception(
            "%s Its canary could not be taken back: do it with `anyservice rollback %s`.", how, name
        )
        raise


def _take_back_of(flow_run: FlowRun) -> str:
    config = ServiceConfig.parse(flow_run.parameters["config"])
    name = str(config.name)
    with AnyserviceCredentials.given(flow_run.parameters.get("credentials")).get_client() as client:
        journal = Memory(journal_key(name, client.settings.host)).recall()
        version = journal.get("version_name") if isinstance(journal, dict) else None
        if version is None:
            return f"{name}: the run had brought no canary"
        return client.take_back(name, version=version, cloud=config.cloud, project=config.project)


# ── the transaction ─────────────────────────────────────────────────────────


def note_canary(deployed: ServiceId, credentials: Credentials) -> None:
    """Write down in the transaction of the task how ``bring_back`` takes back what was deployed."""

    def undo() -> str:  # a function, as Prefect copies deeply whatever else is kept in a transaction
        block = (
            credentials
            if isinstance(credentials, AnyserviceCredentials)
            else AnyserviceCredentials.given(credentials)
        )
        with block.get_client() as client:
            return client.take_back(id=str(deployed), version=deployed.version_id)

    if (transaction := get_transaction()) is not None:
        transaction.set(_UNDO, undo)


def bring_back(transaction: Transaction) -> None:
    """Take back the canary that a ``deploy`` brought, as what came after it in the transaction failed."""
    undo = transaction.get(_UNDO, None)
    if undo is not None:
        get_logger("anyservice").warning("%s.", undo())
