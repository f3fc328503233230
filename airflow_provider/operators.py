"""Operators: deploy, roll out, roll back; and, from the rooms beside, terminate, archive, delete, order.

    canary  = DeployOperator(task_id="canary", config="service.yaml", canary_percent=10)
    promote = DeployOperator(task_id="promote", config="service.yaml", canary_percent=100)
    undo    = RollbackOperator(task_id="undo", service="recommender", trigger_rule="one_failed")
    canary >> promote; [canary, promote] >> undo

Killing a task never stops a service; only ``TerminateOperator`` does that.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider.assets import announce
from airflow_provider.base import ServiceOperator
from airflow_provider.ending import ArchiveOperator, DeleteOperator, TerminateOperator
from airflow_provider.errors import airflow_errors
from airflow_provider.hiding import HasConfig
from airflow_provider.hooks import report
from airflow_provider.inputs import ConfigLike, read_config, read_percent
from airflow_provider.orders import OrderOperator
from airflow_provider.rollouts import RolloutOperator
from airflow_provider.summary import summary

if TYPE_CHECKING:
    from anyservice_core import ServiceConfig, ServiceStatus

__all__ = [
    "ArchiveOperator",
    "DeleteOperator",
    "DeployOperator",
    "OrderOperator",
    "RollbackOperator",
    "RolloutOperator",
    "TerminateOperator",
]

# Rules by which a task runs because another has failed.
_ON_FAILURE = frozenset({"one_failed", "all_failed"})
_ON_ITS_WAY = "ROLLING_BACK"


class DeployOperator(HasConfig, ServiceOperator):
    """Deploys a version, or moves the weight of the one that is there. Succeeds once *it* is healthy at that weight.

    The version is named after its content and the DAG run, unless ``config`` names it. So a retry finds what
    its first try has deployed, and several tasks of a run move one canary. The first version of a service has
    nothing beside it and gets all traffic. Gives the service's id, name, address and versions as a dict.
    Each service among ``outlets`` (``service_asset``) is told of the version and its weight.

    Args:
        config: path of a YAML file (templated, and so is its text), mapping or ``ServiceConfig``.
        canary_percent: 0 to 100, the weight to hold (templated); ``None``: all traffic, at the platform's pace.
        max_surge_percent: 0 to 100, excess capacity allowed meanwhile (templated).
        on_kill: what becomes of the canary when the task is killed or marked failed: ``"leave"`` or ``"rollback"``.
        kwargs: as ``ServiceOperator`` takes them.
    """

    template_fields = ("config", "canary_percent", "max_surge_percent")
    template_fields_renderers: ClassVar[dict[str, str]] = {"config": "yaml"}

    def __init__(
        self,
        *,
        config: ConfigLike,
        canary_percent: int | str | None = None,
        max_surge_percent: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.take(config)
        self.canary_percent = canary_percent
        self.max_surge_percent = max_surge_percent

    def execute(self, context: Any) -> dict[str, Any]:
        with airflow_errors():
            weight = read_percent("canary_percent", self.canary_percent)
            surge = read_percent("max_surge_percent", self.max_surge_percent)
            config = read_config(self, context)
            with self.hook.get_conn() as client:
                named = _named(client.prepare(config), f"{self.dag_id}/{context['run_id']}")
                made = client.deploy(named, canary_percent=weight, max_surge_percent=surge)
                self.mine = {"version": made.version_id, "id": str(made)}
                status = client.status(id=str(made))
                return self.reach(context, client, status, _goal(status, made.version_id, weight))

    def done(self, context: Any, result: dict[str, Any]) -> dict[str, Any]:
        _tell_of(context, self.outlets, result, "deployed" if self.wait else "asked for")
        return result


def _tell_of(context: Any, outlets: Any, result: dict[str, Any], verdict: str) -> None:
    """Announce the version that a task was about: the canary, if there is one."""
    version = result["canary_version"] or result["primary_version"] or {}
    facts = {
        "service": result["name"],
        "version": version.get("name"),
        "version_id": version.get("id"),
        "weight": version.get("weight"),
        "url": result["query_url"],
        "verdict": verdict,
    }
    announce(context, outlets, facts, stable=result["canary_version"] is None and verdict != "asked for")


def _named(config: ServiceConfig, run: str) -> ServiceConfig:
    from anyservice_core.rollout.identity import rollout_key

    if config.version_name:
        return config
    name = hashlib.sha256(f"{run}/{rollout_key(config)}".encode()).hexdigest()[:10]
    return config.options(version_name=f"r-{name}")


def _goal(status: ServiceStatus, version: str, weight: int | None) -> dict[str, Any]:
    primary = status.primary_version is not None and status.primary_version.id == version
    return {"version": version, "canary_weight": None if primary or weight == 100 else weight}


class RollbackOperator(ServiceOperator):
    """Takes the rollout under way back: the primary version gets all traffic again.

    With ``trigger_rule="one_failed"`` or ``"all_failed"`` the task *fails* after its work is done. Airflow
    judges a DAG run by its last tasks, so a rollback that succeeded would paint a failed rollout green.

    Args:
        service: the service's name (templated).
        version: take back only this version, by name or id (templated); ``None``: whichever is the canary.
        must_exist: fail if there is nothing to take back; otherwise that is said in the log, and is fine.
        fail_after: fail when the work is done; ``None``: as the trigger rule says, see above.
        kwargs: as ``ServiceOperator`` takes them.
    """

    template_fields = ("service", "version")

    def __init__(
        self,
        *,
        service: str,
        version: str | None = None,
        must_exist: bool = False,
        fail_after: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.service = service
        self.version = version
        self.must_exist = must_exist
        self.fail_after = fail_after

    def execute(self, context: Any) -> dict[str, Any]:
        with airflow_errors(), self.hook.get_conn() as client:
            status = client.status(self.service)
            if nothing := self._nothing_to_do(status):
                return self._leave(context, status, nothing)
            if status.state != _ON_ITS_WAY:
                client.rollback(id=status.id)
            return self.reach(context, client, client.status(id=status.id), {"state": ["RUNNING"]})

    def _nothing_to_do(self, status: ServiceStatus) -> str | None:
        if status.state == _ON_ITS_WAY:
            return None
        if status.canary_version is None:
            return "no rollout is in progress"
        if self.version and not status.canary_version.is_called(self.version):
            return f"the canary is {status.canary_version.name}, not {self.version}"
        return None

    def _leave(self, context: Any, status: ServiceStatus, why: str) -> dict[str, Any]:
        message = f"{status.name}: {why}, so there is nothing to take back"
        if self.must_exist:
            raise AirflowFailException(f"{message}.")
        report(message)
        return self.done(context, summary(status))

    def done(self, context: Any, result: dict[str, Any]) -> dict[str, Any]:
        fails = self.trigger_rule in _ON_FAILURE if self.fail_after is None else self.fail_after
        if fails:
            context["ti"].xcom_push("return_value", result)
            version = (result["primary_version"] or {}).get("name")
            raise AirflowFailException(
                f"{result['name']}: version {version} serves again. This task fails so that its run does too."
            )
        _tell_of(context, self.outlets, result, "rolled_back")
        return result
