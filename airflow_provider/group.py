"""A rollout as a group of tasks, so that each step of its plan is seen in the grid, with the approvals in between.

    with DAG(...):
        progressive_deploy_group("service.yaml", {"steps": [10, 50], "bake": "15m", "promotion": True})

      step_10 >> step_50 >> approve_promotion >> promote           and from each of them: undo

It is one rollout all the same: each task goes on from the journal of the one before, and the rules of the whole plan
hold in each. An approval is Airflow's own (``ApprovalOperator``, 3.1). ``undo`` runs when something has failed; then
it fails too, so that the run is red.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, TaskGroup

from airflow_provider.gates import AtGateError
from airflow_provider.inputs import ConfigLike, PlanLike
from airflow_provider.memory import JOURNAL, REPORT, newer
from airflow_provider.operators import RollbackOperator
from airflow_provider.rollouts import RolloutOperator
from anyservice_core import ConfigError, RolloutPlan
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.orders import PROMOTION
from anyservice_core.rollout.plan import Approval, OnTimeout

__all__ = ["StepOperator", "UndoOperator", "progressive_deploy_group"]


class StepOperator(RolloutOperator):
    """One part of a rollout: up to the end of a step's bake, or the promotion.

    Args:
        until: the weight of the step that ends this part, when its bake is over and its metrics are content; ``None``:
            the rest, to all traffic.
        after: the task that the part before belongs to.
        kwargs: as ``RolloutOperator`` takes them.
    """

    def __init__(self, *, until: int | None, after: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.until = until
        self.after = after

    def the_plan(self) -> RolloutPlan:
        """The plan as far as this part goes, with a gate at its end. People are asked by tasks of their own."""
        whole = super().the_plan()
        steps = [step.model_copy(update={"approval": None}) for step in whole.steps]
        if self.until is None:
            return whole.model_copy(update={"steps": tuple(steps), "promotion": None})
        ours = tuple(step for step in steps if step.weight <= self.until)
        return whole.model_copy(update={"steps": ours, "promotion": Approval()})

    def stops(self, plan: RolloutPlan, journal: Journal) -> list[str]:  # noqa: ARG002
        return [PROMOTION] if plan.promotion else []

    def recall(self, context: Any, client: Any, config: Any) -> Any:
        before = context["ti"].xcom_pull(task_ids=self.after, key=JOURNAL) if self.after else None
        return newer(super().recall(context, client, config), before)

    def saved(self, journal: Journal) -> None:
        if self.until is not None and journal.gate == PROMOTION:
            raise AtGateError(journal)

    def at_gate(self, context: Any, journal: Mapping[str, Any]) -> dict[str, Any]:
        """The part is over: what follows goes on from its journal."""
        self.store(context, journal)
        result = {
            "service": self._service(context),
            "version_name": journal["version_name"],
            "weight": self.until,
        }
        context["ti"].xcom_push("version", journal["version_name"])
        return result

    def _service(self, context: Any) -> str:
        from airflow_provider.inputs import read_config

        return str(read_config(self, context).name)


class UndoOperator(RollbackOperator):
    """Takes back what the parts of a rollout have brought, and nobody else's; then it fails.

    A rollout that was *paused* is left for a person, as its plan says.

    Args:
        parts: the tasks of the rollout, in order.
        kwargs: as ``RollbackOperator`` takes them.
    """

    def __init__(self, *, parts: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**{"trigger_rule": "one_failed", **kwargs})
        self.parts = list(parts)

    def execute(self, context: Any) -> dict[str, Any]:
        ends = [self._left(context, part, REPORT) for part in self.parts]
        if any(end.get("outcome") == "paused" for end in ends):
            raise AirflowFailException("The rollout was paused for a person to look at: it is left as it is.")
        journals = [self._left(context, part, JOURNAL) for part in self.parts]
        names = [journal["version_name"] for journal in journals if "version_name" in journal]
        if not names:
            raise AirflowFailException("Nothing was deployed, so there is nothing to take back.")
        self.version = names[-1]
        return super().execute(context)

    def _left(self, context: Any, part: str, key: str) -> Mapping[str, Any]:
        found = context["ti"].xcom_pull(task_ids=part, key=key)
        return found if isinstance(found, Mapping) else {}


def progressive_deploy_group(
    config: ConfigLike,
    plan: PlanLike,
    *,
    service: str | None = None,
    group_id: str = "rollout",
    **options: Any,
) -> TaskGroup:
    """Build the tasks of a rollout into the present DAG.

    Args:
        config: path of a YAML file, mapping or ``ServiceConfig``, as ``RolloutOperator`` takes it.
        plan: path of a YAML file, mapping or ``RolloutPlan``. It is read when the DAG is, so a relative path is seen
            from the working directory of Airflow, and it is not templated.
        service: the service's name, for ``undo``; needed where ``config`` is a path.
        group_id: the name of the group.
        options: as ``RolloutOperator`` takes them, for all its parts.

    Returns the group. Raises ``PlanError``; ``ConfigError`` for what a group cannot do.
    """
    steps = RolloutPlan.parse(plan)
    name = service or _name(config)
    with TaskGroup(group_id) as group:
        chain: list[BaseOperator] = []
        parts: list[str] = []
        for part in _parts(steps):
            after = parts[-1] if parts else None
            if isinstance(part, _Gate):
                task: BaseOperator = _approval(name, part)
            else:
                what = "promote" if part is None else f"step_{part}"
                task = StepOperator(
                    task_id=what, config=config, plan=steps, until=part, after=after, **options
                )
                parts.append(task.task_id)
            if chain:
                chain[-1] >> task
            chain.append(task)
        kept = {key: options[key] for key in ("conn_id", "poll_interval_s", "deferrable") if key in options}
        undo = UndoOperator(task_id="undo", service=name, parts=parts, **kept)
        for task in chain:
            task >> undo
    return group


class _Gate(Approval):
    """An approval, and what it lets by."""

    gate: str


def _parts(plan: RolloutPlan) -> Iterator[int | _Gate | None]:
    """The steps and the gates between them, in order; ``None`` is the promotion."""
    for step in plan.steps:
        yield step.weight
        if step.approval:
            yield _gate(step.approval, str(step.weight))
    if plan.promotion:
        yield _gate(plan.promotion, PROMOTION)
    yield None


def _gate(approval: Approval, gate: str) -> _Gate:
    if approval.on_timeout is OnTimeout.PAUSE:
        raise ConfigError(
            f"on_timeout: 'pause' of the approval {gate!r}: a group of tasks cannot stand still.",
            hint="Say rollback or promote, or use RolloutOperator, which can.",
        )
    return _Gate(timeout=approval.timeout, on_timeout=approval.on_timeout, gate=gate)


def _approval(service: str, gate: _Gate) -> BaseOperator:
    """A question to people, whose "no" fails the run and lets ``undo`` do its work."""
    try:
        from airflow.providers.standard.operators.hitl import ApprovalOperator
    except Exception as missing:
        raise ConfigError(
            "approval: asking people in tasks of their own needs Airflow 3.1 and its standard provider."
        ) from missing
    what = "bring it to all traffic" if gate.gate == PROMOTION else f"go on from {gate.gate} %"
    made: BaseOperator = ApprovalOperator(
        task_id=f"approve_{gate.gate}",
        subject=f"{service}: {what}?",
        body="The canary has baked, and its metrics are content.",
        fail_on_reject=True,
        response_timeout=timedelta(seconds=gate.timeout) if gate.timeout else None,
        defaults="Approve" if gate.timeout and gate.on_timeout is OnTimeout.PROMOTE else None,
    )
    return made


def _name(config: ConfigLike) -> str:
    if isinstance(config, str | Path):
        raise ConfigError("service: missing; the config is a file that is read later, so say its name here.")
    found = config.get("name") if isinstance(config, Mapping) else config.name
    if not found:
        raise ConfigError("name: missing; a service needs one.")
    return str(found)
