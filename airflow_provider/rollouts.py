"""The whole progressive rollout as one task.

Deferred, it goes through two hands. The worker reads the files, uploads what is local and deploys the
canary; then it lets go, and the triggerer looks, measures, moves weights and takes back, with nothing but names,
the plan and the journal in its hands (see ``anyservice_core.operations.relay``). Each event is a line in the
task's log as it happens. The canary's weight on the server is the checkpoint: a retry, or another triggerer
after a crash, finds its version by name and goes on from there, losing at most the present step's bake.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NoReturn

from airflow_provider.base import ServiceOperator
from airflow_provider.errors import GRACE_S, airflow_errors, result_of
from airflow_provider.inputs import ConfigLike, PlanLike, read_config, read_plan
from airflow_provider.links import ServiceLink
from airflow_provider.triggers import RolloutTrigger
from anyservice_core import Client, RolloutError, RolloutPlan, RolloutReport, ServiceConfig
from anyservice_core.operations.relay import Relay

__all__ = ["RolloutOperator"]

_JOURNAL = "journal"
_REPORT = "report"


class RolloutOperator(ServiceOperator):
    """Brings a version to all traffic step by step, and takes it back if it is worse.

    Succeeds when the version serves all traffic, or did so already. A rollout that was rolled back, paused
    or superseded *fails* the task with its reason, without a retry: that would bring the bad version again.
    The report is a dict in XCom, under ``report`` in either case, and as the task's result if it succeeds.

    Args:
        config: path of a YAML file (templated, and so is its text), mapping or ``ServiceConfig``.
        plan: path of a YAML file (templated), mapping or ``RolloutPlan``.
        force: try a build again that an earlier try of this task has condemned.
        on_kill: what becomes of the canary when the task is killed or marked failed: ``"leave"`` it at its
            weight, where the next run goes on, or ``"rollback"``.
        poll_interval_s: seconds between looks at the service.
        deferrable: follow the rollout in the triggerer; by default as ``[operators] default_deferrable``.
        conn_id: the Airflow connection to the control plane.
    """

    template_fields = ("config", "plan")

    def __init__(self, *, config: ConfigLike, plan: PlanLike, force: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        # A mapping would be rendered, and `{{ version.id }}` in a query is the plan's own.
        self.plan = RolloutPlan.parse(plan) if isinstance(plan, Mapping) else plan
        self.force = force

    def execute(self, context: Any, journal: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with airflow_errors():
            plan, config = read_plan(self), read_config(self, context)
            known = journal or self._recall(context)
            with self.hook.get_conn(on_save=lambda _, saved: self._keep(context, config, saved)) as client:
                try:
                    report = self._roll_out(context, client, config, plan, known)
                except RolloutError as error:
                    context["ti"].xcom_push(_REPORT, error.report)
                    raise
        return self.done(context, report.to_dict())

    def _roll_out(
        self, context: Any, client: Client, config: ServiceConfig, plan: RolloutPlan, known: Any
    ) -> RolloutReport:
        if not self.deferrable:
            return client.rollout(
                config, plan, journal=known, force=self.force, poll_interval_s=self.poll_interval_s
            )
        begun = client.begin_rollout(config, plan, journal=known, force=self.force)
        return begun if isinstance(begun, RolloutReport) else self._hand_over(context, client, begun, plan)

    def _hand_over(self, context: Any, client: Client, relay: Relay, plan: RolloutPlan) -> NoReturn:
        if relay.service_id:
            ServiceLink.leave(context, client.settings.host, relay.service_id)
        longest_s = plan.bake_s + (len(plan.steps) + 2) * plan.progress_deadline
        self.defer(
            trigger=RolloutTrigger(
                conn_id=self.conn_id,
                poll_interval_s=self.poll_interval_s,
                mine={"version": relay.journal.version_name, **_place(relay)},
                on_kill_do=self.on_kill_do,
                relay=relay.to_dict(),
                plan=plan.to_dict(),
            ),
            method_name="resume",
            timeout=timedelta(seconds=longest_s + GRACE_S),
        )

    def resume(self, context: Any, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the triggerer has seen the end, or that it is time to deploy."""
        journal = (event or {}).get(_JOURNAL)
        if journal:
            self._store(context, journal)
        if event and event.get("status") == "time_to_deploy":
            return self.execute(context, journal)
        if event and event.get("report"):
            context["ti"].xcom_push(_REPORT, event["report"])
        return self.done(context, result_of(event))

    def done(self, context: Any, result: dict[str, Any]) -> dict[str, Any]:
        context["ti"].xcom_push(_REPORT, result)
        return result

    # ── the journal: in the task state store, where Airflow has one (3.3) ──

    def _recall(self, context: Any) -> Any:
        store = context.get("task_state_store")
        return store.get(_JOURNAL) if store is not None else None

    def _keep(self, context: Any, config: ServiceConfig, journal: Any) -> None:
        self.mine = {"version": journal.version_name, **_place(config)}
        self._store(context, journal.model_dump(mode="json"))

    def _store(self, context: Any, journal: Mapping[str, Any]) -> None:
        store = context.get("task_state_store")
        if store is not None:
            store.set(_JOURNAL, dict(journal))


def _place(of: Relay | ServiceConfig) -> dict[str, Any]:
    name = of.service if isinstance(of, Relay) else of.name
    return {"name": name, "cloud": of.cloud, "project": of.project}
