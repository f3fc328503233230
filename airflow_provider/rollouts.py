"""The whole progressive rollout as one task.

Deferred, it goes through two hands. The worker reads the files, uploads what is local and deploys the
canary; then it lets go, and the triggerer looks, measures, moves weights and takes back, with nothing but names,
the plan and the journal in its hands (see ``anyservice_core.operations.relay``). Each event is a line in the
task's log as it happens. The canary's weight on the server is the checkpoint: a retry, or another triggerer
after a crash, finds its version by name and goes on from there, losing at most the present step's bake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider.assets import announce, brought
from airflow_provider.base import ServiceOperator
from airflow_provider.errors import airflow_errors, result_of
from airflow_provider.gates import AtGateError, answered, ask, stops
from airflow_provider.hiding import HasConfig
from airflow_provider.inputs import ConfigLike, PlanLike, checked_plan, read_config, read_plan
from airflow_provider.journals import HasJournal, place
from airflow_provider.links import ReportLink, ServiceLink
from airflow_provider.memory import JOURNAL, REPORT, newer
from airflow_provider.turns import OnConflict, TakesTurns, release
from anyservice_core import AnyserviceError, RolloutError

if TYPE_CHECKING:
    from anyservice_core import Client, RolloutPlan, RolloutReport, ServiceConfig
    from anyservice_core.operations.relay import Relay
    from anyservice_core.rollout.journal import Journal
    from anyservice_core.rollout.orders import Order

__all__ = ["RolloutOperator"]

_ASKED = "asked"


class RolloutOperator(HasConfig, HasJournal, TakesTurns, ServiceOperator):
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
        kwargs: as ``ServiceOperator`` takes them, such as ``on_kill``, ``poll_interval_s``, ``deferrable`` and ``conn_id``.
    """

    template_fields = ("config", "plan")
    template_fields_renderers: ClassVar[dict[str, str]] = {"config": "yaml", "plan": "yaml"}
    operator_extra_links = (ServiceLink(), ReportLink())

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
        self.plan = checked_plan(plan)
        self.force = force
        self.on_conflict: OnConflict = on_conflict
        self.turn_timeout_s = turn_timeout_s

    # ── begin ──

    def execute(self, context: Any) -> dict[str, Any]:
        return self._begin(context, None)

    def _begin(
        self, context: Any, journal: Mapping[str, Any] | None, order: Order | None = None
    ) -> dict[str, Any]:
        with airflow_errors():
            plan, config = self.the_plan(), read_config(self, context)
            if self.deferrable:
                plan.to_dict()  # what cannot be handed over shall fail before anything is deployed
            self.take_turn(context, str(config.name))
            with self.hook.get_conn(**self.ears(context, config, order)) as client:
                known = newer(journal, self.recall(context, client, config))
                try:
                    begun = self.go_on(client, config, plan, known) if order or self.follows else None
                    report = self._roll_out(context, client, (config, plan), known, begun)
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
        return stops(plan, journal)

    def _roll_out(
        self, context: Any, client: Client, what: tuple[ServiceConfig, RolloutPlan], known: Any, begun: Any
    ) -> RolloutReport:
        from anyservice_core import RolloutReport

        config, plan = what
        while True:
            how = {"journal": known, "force": self.force, "until": self.until}
            begun = begun or client.begin_rollout(config, plan, **how)
            if isinstance(begun, RolloutReport):
                return begun
            if begun.service_id:
                ServiceLink.leave(context, client.settings.host, begun.service_id)
            self.keep_turn(context, client, begun)
            if self.deferrable:
                self._follow_deferred(context, begun, plan)
            done = client.follow_rollout(begun, plan, poll_interval_s=self.poll_interval_s)
            if done is not None:
                return done
            known, begun = begun.journal, None

    def _follow_deferred(
        self, context: Any, relay: Relay, plan: RolloutPlan, asked: str | None = None
    ) -> NoReturn:
        """Let the triggerer follow, and come back at each gate that nobody was asked about yet."""
        from airflow_provider.triggers import RolloutTrigger

        self.mine = {"version": relay.journal.version_name, **place(relay)}
        following = RolloutTrigger(
            conn_id=self.conn_id,
            poll_interval_s=self.poll_interval_s,
            mine=self.mine,
            on_kill_do=self.on_kill_do,
            relay=relay.to_dict(),
            plan=plan.to_dict(),
            stops=[gate for gate in self.stops(plan, relay.journal) if gate != asked],
        )
        self.hand_over(context, following, plan.longest_s)

    # ── go on ──

    def resume(self, context: Any, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the triggerer has seen the end, or a gate, or that it is time to deploy; or after an answer."""
        asked = self.pull(context, _ASKED) or {}
        if (order := answered(event, asked.get("gate"))) is not None:
            return self._begin(context, self.pull(context, JOURNAL), order)
        journal = (event or {}).get(JOURNAL)
        if journal:
            self.store(context, journal)
        status = (event or {}).get("status")
        if status == "time_to_deploy":
            return self._begin(context, journal)
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
        ask(context, str(config.name), known)
        context["ti"].xcom_push(_ASKED, {"gate": known.gate})
        relay = Relay(service=str(config.name), cloud=config.cloud, project=config.project, journal=known)
        self._follow_deferred(context, relay, self.the_plan(), asked=known.gate)

    def done(self, context: Any, result: dict[str, Any]) -> dict[str, Any]:
        self._over(context, result)
        address = self._address(result) if self.outlets else None
        announce(context, self.outlets, brought(result, address), stable=True)
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
