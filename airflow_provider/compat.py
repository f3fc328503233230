"""What this Airflow has: the one room that looks at its version.

The provider is made for Airflow 3.3 and goes from 2.11 on. What both name differently is imported from Airflow's own
``common-compat``; what an older one lacks altogether is here, as a ``Feature``: where it is missed, ``has`` says in the
log once what is lost, and the caller does without.
"""

from __future__ import annotations

import functools
import logging
from typing import Any, Final, NamedTuple

from airflow.providers.common.compat.version_compat import get_base_airflow_version_tuple

__all__ = [
    "ASSET_NAMES",
    "ASSET_STORE",
    "KILLS",
    "LACKING",
    "PAGES",
    "QUESTIONS",
    "RETRY_POLICY",
    "TASK_STORE",
    "VERSION",
    "WATCHERS",
    "Feature",
    "asks_people",
    "has",
    "is_late",
    "portable",
    "quiet_requests",
    "retry_policies",
    "supported",
    "task_state",
]

VERSION: Final[tuple[int, ...]] = get_base_airflow_version_tuple()
_log = logging.getLogger("airflow_provider")


class Feature(NamedTuple):
    """Something of Airflow's that came with the version ``since``; ``lost`` is a sentence on what goes without it."""

    name: str
    since: tuple[int, int]
    lost: str

    def __str__(self) -> str:
        return f"{self.name} (Airflow {'.'.join(map(str, self.since))})"


TASK_STORE = Feature(
    "the task state store",
    (3, 3),
    "A retry finds its canary on the server, and begins the present step's bake anew. That a build was taken back is "
    "not remembered: who clears the task tries it again.",
)
ASSET_STORE = Feature(
    "the asset state store", (3, 3), "The last stable version is told with the event, and not kept."
)
QUESTIONS = Feature(
    "required actions of a deferred task",
    (3, 3),
    "Nobody is asked in the UI: approve by an order in the mailbox (OrderOperator).",
)
KILLS = Feature(
    "news of kills for deferred tasks",
    (3, 3),
    "on_kill='rollback' holds while a worker has the task. A deferred task that is marked failed leaves its canary: "
    "take it back with RollbackOperator.",
)
RETRY_POLICY = Feature(
    "retry policies",
    (3, 3),
    "The policy is left out. What trying again cannot mend still fails at once; `retries` do the rest, without "
    "heeding how long the server asked to wait.",
)
PAGES = Feature(
    "pages of plugins", (3, 1), "The report of a rollout has no page: it is in XCom, under `report`."
)
WATCHERS = Feature(
    "asset watchers",
    (3, 0),
    "Nothing runs a ServiceChangeTrigger: schedule the DAG by time, or by an outlet.",
)
ASSET_NAMES = Feature(
    "names, groups and watchers of assets", (3, 0), "A service's asset is known by its URI alone."
)
LACKING: Final = (
    TASK_STORE,
    ASSET_STORE,
    QUESTIONS,
    KILLS,
    RETRY_POLICY,
    PAGES,
    WATCHERS,
    ASSET_NAMES,
)


def supported(feature: Feature) -> bool:
    """Whether this Airflow has it. Says nothing."""
    return feature.since <= VERSION


def has(feature: Feature) -> bool:
    """Whether this Airflow has it; the first time that it is missed here, the log says what is lost."""
    if supported(feature):
        return True
    _say(feature, VERSION)
    return False


@functools.cache
def _say(feature: Feature, version: tuple[int, ...]) -> None:
    # As text: Airflow's log writes a named tuple as any other.
    _log.warning("Airflow %s is without %s. %s", ".".join(map(str, version)), str(feature), feature.lost)


def portable(options: dict[str, Any]) -> dict[str, Any]:
    """The options of an operator without those that this Airflow's operators do not take."""
    if options.get("retry_policy") is None or not has(RETRY_POLICY):
        return {name: value for name, value in options.items() if name != "retry_policy"}
    return options


# ── the same in other words ──


def is_late(error: Exception) -> bool:
    """Whether a deferral was ended by Airflow's own time-out, as opposed to a trigger that broke."""
    if VERSION >= (3,):
        from airflow.sdk.exceptions import TaskDeferralTimeout

        return isinstance(error, TaskDeferralTimeout)
    from airflow.exceptions import TaskDeferralError

    return isinstance(error, TaskDeferralError) and "timeout" in str(error).lower()


def quiet_requests() -> None:
    """Keep httpx from a line in the task's log for each look at a service, as Airflow 3 does by itself."""
    log = logging.getLogger("httpx")
    if VERSION < (3,) and log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)


def task_state(ti: Any) -> str | None:
    """What Airflow says of a task now: of the task instance, or whatever names one."""
    if VERSION < (3,):
        return _in_database(ti)
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    of_run = states.get(ti.run_id, {})
    state: str | None = of_run.get(ti.task_id, of_run.get(f"{ti.task_id}_{ti.map_index}"))
    return state


def _in_database(ti: Any) -> str | None:
    """Tasks and triggers of Airflow 2 have its database at hand."""
    from airflow.models import TaskInstance
    from airflow.utils.session import create_session

    which = {name: getattr(ti, name) for name in ("dag_id", "task_id", "run_id", "map_index")}
    with create_session() as session:
        state = session.query(TaskInstance.state).filter_by(**which).scalar()
    return None if state is None else str(state)


def asks_people() -> Any:
    """Airflow's function that makes an open question of a task; ``None`` where a deferred task cannot be answered."""
    try:
        from airflow.sdk.exceptions import TaskAwaitingInput  # noqa: F401  # 3.3
        from airflow.sdk.execution_time.hitl import upsert_hitl_detail
    except ImportError:
        return None
    return upsert_hitl_detail


def retry_policies() -> tuple[Any, Any]:
    """``RetryPolicy`` and ``RetryDecision``; a stand-in for the first where there are none."""
    try:
        from airflow.sdk import RetryPolicy
        from airflow.sdk.definitions.retry_policy import RetryDecision
    except ImportError:
        return object, None
    return RetryPolicy, RetryDecision
