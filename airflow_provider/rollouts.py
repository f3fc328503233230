"""The whole progressive rollout as one task.

Deferred, it goes through two hands. The worker reads the files, uploads what is local and deploys the
canary; then it lets go, and the triggerer looks, measures, moves weights and takes back, with nothing but names,
the plan and the journal in its hands (see ``anyservice_core.operations.relay``). Each event is a line in the
task's log as it happens. The canary's weight on the server is the checkpoint: a retry, or another triggerer
after a crash, finds its version by name and goes on from there, losing at most the present step's bake.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider.assets import announce
from airflow_provider.base import ServiceOperator
from airflow_provider.errors import GRACE_S, airflow_errors, result_of
from airflow_provider.gates import AtGateError
from airflow_provider.hiding import HasConfig
from airflow_provider.hooks import report
from airflow_provider.inputs import ConfigLike, PlanLike, read_config, read_plan
from airflow_provider.journals import HasJournal, place
from airflow_provider.links import ReportLink, ServiceLink
from airflow_provider.memory import JOURNAL, REPORT, newer
from airflow_provider.orders import CAN_ASK, answered, ask
from airflow_provider.turns import Holder, OnConflict, claim, holder, release
from anyservice_core import AnyserviceError, RolloutError

if TYPE_CHECKING:
    from anyservice_core import Client, RolloutPlan, RolloutReport, ServiceConfig
    from anyservice_core.operations.relay import Relay
    from anyservice_core.rollout.journal import Journal
    from anyservice_core.rollout.orders import Order

__all__ = ["RolloutOperator"]

_ASKED = "asked"


class RolloutOperator(HasConfig, HasJournal, ServiceOperator):
    """Brings a version to all traffic step by step, and takes it back if it is worse.

    Succeeds when the version serves all traffic, or did so already. A rollout that was rolled back, paused
    or superseded *fails* the task with its reason, without a retry: that would bring the bad version again.
    The report is a dict in XCom, under ``report`` in either case, and as the task's result if it succeeds.
    Each service among ``outlets`` (``service_asset``) is told of the version.

    Approvals that the plan asks for are required actions of the task (Airflow 3.3, deferred), or orders in the
    mailbox (``OrderOperator``), as are pause, resume, promote and abort.

    Args:
        config: path of a YAML file (templated, and so is its text), mapping or ``ServiceConfig``.
        plan: path of a YAML file (templated), mapping or ``RolloutPlan``.
        force: try a build again that an earlier try of this task has condemned.
        on_conflict: what to do while another rollout of the service is under way: ``"wait"`` for its end, or
            ``"fail"`` and say whose it is.
        turn_timeout_s: seconds to wait for another task's rollout.
        on_kill: what becomes of the canary when the task is killed or marked failed: ``"leave"`` it at its
            weight, where the next run goes on, or ``"rollback"``.
        poll_interval_s: seconds between looks at the service.
        deferrable: follow the rollout in the triggerer; by default as ``[operators] default_deferrable``.
        conn_id: the Airflow connection to the control plane.
    """

    template_fields = ("config", "plan")
    operator_extra_links = (ServiceLink(), ReportLink())
    until: int | None = None  # the weight that it ends at, if it is a part of a rollout

    def __init__(
        self,
        *,
        config: ConfigLike,
        plan: PlanLike,
        force: bool = False,
        on_conflict: OnConflict = "wait",
        turn_timeout_s: float = 6 * 3600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.take(config)
        self.plan = _checked(plan)
        self.force = force
        self.on_conflict: OnConflict = on_conflict
        self.turn_timeout_s = turn_timeout_s

    # ── begin ──

    def execute(
        self, context: Any, journal: Mapping[str, Any] | None = None, order: Order | None = None
    ) -> dict[str, Any]:
        with airflow_errors():
            plan, config = self.the_plan(), read_config(self, context)
            if self.deferrable:
                plan.to_dict()  # what cannot be handed over shall fail before anything is deployed
            self._take_turn(context, str(config.name))
            with self.hook.get_conn(**self.ears(context, config, order)) as client:
                known = newer(journal, self.recall(context, client, config))
                try:
                    report = self._roll_out(context, client, config, plan, known)
                except AtGateError as held:
                    return self.at_gate(context, held.journal.model_dump(mode="json"))
                except RolloutError as error:
                    self._over(context, error.report)
                    raise
        return self.done(context, report.to_dict())

    def the_plan(self) -> RolloutPlan:
        """The plan, checked. Raises ``PlanError``."""
        return read_plan(self)

    def stops(self, plan: RolloutPlan, journal: Journal) -> list[str]:
        """The gates at which the trigger comes back, so that people are asked: those that nobody has opened yet."""
        if not CAN_ASK:
            return []
        gates = [str(step.weight) for step in plan.steps if step.approval]
        gates += ["promotion"] if plan.promotion else []
        return [gate for gate in gates if journal.approval(gate) is None]

    def _take_turn(self, context: Any, service: str) -> None:
        """See to it that no other task rolls the service out: wait in the triggerer, or fail."""
        from airflow_provider.triggers import TurnTrigger

        other = holder(context["ti"], service, self.conn_id)
        if other is None:
            return
        report(f"{service}: {other} rolls out version {other.version} now")
        if self.on_conflict == "fail":
            self._refuse(service, f"{other} rolls out version {other.version}")
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
        self.defer(
            trigger=waiting, method_name="resume", timeout=timedelta(seconds=self.turn_timeout_s + GRACE_S)
        )

    def _refuse(self, service: str, why: str) -> NoReturn:
        raise AirflowFailException(f"{service} has a rollout under way: {why}. This one was not begun.")

    def _roll_out(
        self, context: Any, client: Client, config: ServiceConfig, plan: RolloutPlan, known: Any
    ) -> RolloutReport:
        from anyservice_core import RolloutReport

        while True:
            begun = client.begin_rollout(
                config, plan, journal=known, force=self.force, until=self.until
            )
            if isinstance(begun, RolloutReport):
                return begun
            self._begun(context, client, begun)
            if self.deferrable:
                self._hand_over(begun, plan)
            done = client.follow_rollout(begun, plan, poll_interval_s=self.poll_interval_s)
            if done is not None:
                return done
            known = begun.journal

    def _begun(self, context: Any, client: Client, relay: Relay) -> None:
        if relay.service_id:
            ServiceLink.leave(context, client.settings.host, relay.service_id)
        if relay.journal.started:
            claim(context["ti"], relay.service, self.conn_id, relay.journal.version_name)
        elif self.on_conflict == "fail" and relay.service_id:
            canary = client.status(id=relay.service_id).canary_version
            if canary is not None and not canary.is_called(relay.journal.version_name):
                self._refuse(relay.service, f"version {canary.name}, which is no task's of this Airflow")

    def _hand_over(self, relay: Relay, plan: RolloutPlan, asked: str | None = None) -> NoReturn:
        """Let the triggerer follow, and come back at each gate that nobody was asked about yet."""
        from airflow_provider.triggers import RolloutTrigger

        self.defer(
            trigger=RolloutTrigger(
                conn_id=self.conn_id,
                poll_interval_s=self.poll_interval_s,
                mine={"version": relay.journal.version_name, **place(relay)},
                on_kill_do=self.on_kill_do,
                relay=relay.to_dict(),
                plan=plan.to_dict(),
                stops=[gate for gate in self.stops(plan, relay.journal) if gate != asked],
            ),
            method_name="resume",
            timeout=_longest(plan),
        )

    # ── go on ──

    def resume(self, context: Any, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the triggerer has seen the end, or a gate, or that it is time to deploy; or after an answer."""
        asked = self.pull(context, _ASKED) or {}
        if (order := answered(event, asked.get("gate"))) is not None:
            return self.execute(context, self.pull(context, JOURNAL), order)
        journal = (event or {}).get(JOURNAL)
        if journal:
            self.store(context, journal)
        status = (event or {}).get("status")
        if status == "time_to_deploy":
            return self.execute(context, journal)
        if status == "at_gate" and journal:
            return self.at_gate(context, journal)
        if event and event.get("report"):
            self._over(context, event["report"])
        return self.done(context, result_of(event))

    def at_gate(self, context: Any, journal: Mapping[str, Any]) -> dict[str, Any]:
        """Ask people, and let the triggerer watch the canary meanwhile."""
        from anyservice_core.operations.relay import Relay
        from anyservice_core.rollout.journal import Journal

        known = Journal.model_validate(journal)
        with airflow_errors():
            config = read_config(self, context)
        ask(context, str(config.name), str(known.gate))
        context["ti"].xcom_push(_ASKED, {"gate": known.gate})
        relay = Relay(service=str(config.name), cloud=config.cloud, project=config.project, journal=known)
        self._hand_over(relay, self.the_plan(), asked=known.gate)

    def done(self, context: Any, result: dict[str, Any]) -> dict[str, Any]:
        self._over(context, result)
        facts = {
            "service": result.get("service"),
            "version": result.get("version_name"),
            "version_id": result.get("version"),
            "weight": 100,
            "verdict": result.get("outcome"),
            "url": self._address(result) if self.outlets else None,
        }
        announce(context, self.outlets, facts, stable=True)
        return result

    def _address(self, result: Mapping[str, Any]) -> str | None:
        """Where the service answers; a help only, so nothing fails for it."""
        try:
            with self.hook.get_conn() as client:
                return client.status(id=result["service_id"]).query_url
        except (AnyserviceError, KeyError):
            return None

    def _over(self, context: Any, result: Mapping[str, Any]) -> None:
        context["ti"].xcom_push(REPORT, result)
        release(context["ti"], str(result.get("service")), self.conn_id)


def _checked(plan: PlanLike) -> PlanLike:
    """A mapping would be rendered, and ``{{ version.id }}`` in a query is the plan's own: so it is read at once."""
    if not isinstance(plan, Mapping):
        return plan
    from anyservice_core import RolloutPlan

    return RolloutPlan.parse(plan)


def _longest(plan: RolloutPlan) -> timedelta | None:
    """How long Airflow lets the trigger live; ``None`` where people or the time of day may hold it for ever."""
    people = [approval.timeout for approval in plan.approvals]
    if plan.windows or None in people:
        return None
    held_s = sum(timeout or 0.0 for timeout in people)
    return timedelta(seconds=plan.bake_s + held_s + (len(plan.steps) + 2) * plan.progress_deadline + GRACE_S)
