"""What a rollout's task remembers from try to try: its journal, in the task state store of Airflow 3.3.

Below 3.3 a retry finds its canary on the server, which costs it the present step's bake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.compat import TASK_STORE, has
from airflow_provider.hooks import report
from airflow_provider.memory import EVENTS, JOURNAL
from airflow_provider.orders import Mailbox
from anyservice_core import NotFoundError

if TYPE_CHECKING:
    from anyservice_core import Client, RolloutPlan, RolloutReport, ServiceConfig
    from anyservice_core.operations.relay import Relay
    from anyservice_core.rollout.journal import Journal
    from anyservice_core.rollout.orders import Order

__all__ = ["HasJournal", "place"]


class HasJournal:
    """An operator that keeps the journal of a rollout."""

    task_id: str
    conn_id: str
    retries: int | None
    mine: dict[str, Any] | None
    until: int | None = None  # the weight that it ends at, if it is a part of a rollout
    follows = False  # whether another task has begun it

    def ears(self, context: Any, config: ServiceConfig, order: Order | None) -> dict[str, Any]:
        """What the worker's client listens with: the log, the journal, and people's orders."""
        from anyservice_core.rollout.events import Event

        events: list[dict[str, Any]] = list(self.pull(context, EVENTS) or ())

        def hear(event: object) -> None:
            report(event)
            if isinstance(event, Event):
                events.append(event.to_dict())

        def keep(_key: str, journal: Journal) -> None:
            self.mine = {"version": journal.version_name, **place(config)}
            self.store(context, journal.model_dump(mode="json"))
            context["ti"].xcom_push(EVENTS, events)
            self.saved(journal)

        mailbox = Mailbox(str(config.name), self.conn_id, *([order] if order else ()))
        return {"on_report": hear, "on_save": keep, "on_orders": mailbox.look}

    def saved(self, journal: Journal) -> None:
        """Be told of each journal that is saved in the worker."""

    def recall(self, context: Any, client: Client, config: ServiceConfig) -> Any:
        """What an earlier try has kept. A cleared task believes it only if its version is still there."""
        store = context.get("task_state_store") if has(TASK_STORE) else None
        journal = store.get(JOURNAL) if store is not None else None
        if not journal or journal.get("known_bad") or not _cleared(context["ti"], self.retries):
            return journal
        return journal if _live(client, config, journal) else None

    def go_on(
        self, client: Client, config: ServiceConfig, plan: RolloutPlan, journal: Any
    ) -> Relay | RolloutReport | None:
        """Look at the version that ``journal`` is about, whatever the files say since; ``None`` if it has none under way.

        Who answers a question, or runs the next part, means the version that was there then. Hours may have passed.
        """
        from anyservice_core.operations.relay import Relay
        from anyservice_core.rollout.journal import Journal

        if not journal or not journal.get("started") or journal.get("outcome"):
            return None
        known = Journal.model_validate({**journal, "until": self.until})
        service, cloud, project = str(config.name), config.cloud, config.project
        return client.resume_rollout(
            Relay(service=service, cloud=cloud, project=project, journal=known), plan
        )

    def store(self, context: Any, journal: Mapping[str, Any]) -> None:
        """Keep the journal for a later try, and for whoever looks at the task."""
        store = context.get("task_state_store")
        if store is not None:
            store.set(JOURNAL, dict(journal))
        context["ti"].xcom_push(JOURNAL, dict(journal))

    def pull(self, context: Any, key: str) -> Any:
        """What this task has left under ``key`` in this try."""
        return context["ti"].xcom_pull(task_ids=self.task_id, key=key)


def place(of: Relay | ServiceConfig) -> dict[str, Any]:
    """Where a service is, as ``take_back`` wants to know it."""
    name = getattr(of, "service", None) or getattr(of, "name", None)
    return {"name": name, "cloud": of.cloud, "project": of.project}


def _cleared(ti: Any, retries: int | None) -> bool:
    """Whether this is the first try since the task was cleared: clearing grants all ``retries`` anew."""
    try:
        return bool(ti.try_number == ti.max_tries - (retries or 0) + 1)
    except (AttributeError, TypeError):
        return False


def _live(client: Client, config: ServiceConfig, journal: Mapping[str, Any]) -> bool:
    """Whether the service still has the version that the journal is about."""
    try:
        status = client.status(str(config.name), cloud=config.cloud, project=config.project)
    except NotFoundError:
        return False
    return status.version(str(journal.get("version_name"))) is not None
