"""A rollout as a group of tasks, so that each step of its plan is seen in the grid, with the approvals in between.

    with DAG(...):
        progressive_deploy_group("service.yaml", {"steps": [10, 50], "bake": "15m", "promotion": True})

      step_10 >> step_50 >> approve_promotion >> promote           and from each of them: undo

It is one rollout all the same (see ``anyservice_core.rollout.parts``): each task goes on from the journal of the one
before, and the rules of the whole plan hold in each. A task that asks people watches the canary meanwhile: one that
turns bad is taken back, and the question is over. ``undo`` runs when something has failed; then it fails too, so that
the run is red.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, TaskGroup

from airflow_provider.gates import AtGateError
from airflow_provider.inputs import ConfigLike, PlanLike, read_config
from airflow_provider.memory import EVENTS, JOURNAL, REPORT, newer
from airflow_provider.operators import RollbackOperator
from airflow_provider.rollouts import RolloutOperator
from anyservice_core import ConfigError, RolloutPlan
from anyservice_core.rollout.gates import END
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.parts import Part, parts

__all__ = ["StepOperator", "UndoOperator", "progressive_deploy_group"]


class StepOperator(RolloutOperator):
    """One part of a rollout: a step up to the end of its bake, an approval, or the promotion.

    Args:
        part: which.
        after: the tasks of the parts before, whose journal it goes on from.
        kwargs: as ``RolloutOperator`` takes them.
    """

    def __init__(self, *, part: Part, after: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = part
        self.until = part.until
        self.after = list(after)
        self.follows = bool(self.after)

    def the_plan(self) -> RolloutPlan:
        return self.part.plan(super().the_plan())

    def stops(self, plan: RolloutPlan, journal: Journal) -> list[str]:
        return [*super().stops(plan, journal), END]

    def recall(self, context: Any, client: Any, config: Any) -> Any:
        before = (context["ti"].xcom_pull(task_ids=task, key=JOURNAL) for task in reversed(self.after))
        return reduce(newer, before, super().recall(context, client, config))

    def saved(self, journal: Journal) -> None:
        if journal.gate in self.stops(self.the_plan(), journal):
            raise AtGateError(journal)

    def pull(self, context: Any, key: str) -> Any:
        """What the parts before have told belongs to the story of this one."""
        found = super().pull(context, key)
        told = found or not self.after or key != EVENTS
        return found if told else context["ti"].xcom_pull(task_ids=self.after[-1], key=EVENTS)

    def at_gate(self, context: Any, journal: Mapping[str, Any]) -> dict[str, Any]:
        """At the end of the part, leave its journal to the next one; at an approval, ask people."""
        if journal.get("gate") != END:
            return super().at_gate(context, journal)
        self.store(context, journal)
        version = journal["version_name"]
        return {
            "service": str(read_config(self, context).name),
            "version_name": version,
            "weight": journal["weight"],
        }


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
        options: as ``RolloutOperator`` takes them, for all its parts. An approval is always deferred: people may take
            days, and no worker shall wait for them.

    Returns the group. Raises ``PlanError``; ``ConfigError`` where the service's name is missing.
    """
    steps = RolloutPlan.parse(plan)
    name = service or _name(config)
    with TaskGroup(group_id) as group:
        chain: list[BaseOperator] = []
        for part in parts(steps):
            how = {**options, "deferrable": True} if part.gate else options
            before = [task.task_id for task in chain]
            task = StepOperator(task_id=part.name, config=config, plan=steps, part=part, after=before, **how)
            if chain:
                chain[-1] >> task
            chain.append(task)
        kept = {key: options[key] for key in ("conn_id", "poll_interval_s", "deferrable") if key in options}
        undo = UndoOperator(task_id="undo", service=name, parts=[task.task_id for task in chain], **kept)
        chain >> undo
    return group


def _name(config: ConfigLike) -> str:
    if isinstance(config, str | Path):
        raise ConfigError("service: missing; the config is a file that is read later, so say its name here.")
    found = config.get("name") if isinstance(config, Mapping) else config.name
    if not found:
        raise ConfigError("name: missing; a service needs one.")
    return str(found)
