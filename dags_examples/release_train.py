"""Release several services together: all of them are held at their canaries before any gets all traffic.

If one of the canaries fails, `barrier` does, no service is promoted, and each `undo` takes its service's canary back. The
barrier waits for all canaries to be settled one way or the other, so that none is deployed behind undo's back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider.operators import DeployOperator, RollbackOperator

SERVICES = ("recommender", "ranker")
PERCENT = "{{ params.canary_percent }}"


def config(service: str) -> dict[str, Any]:
    return {"name": service, "applications": [{"import_path": "main:app"}], "working_dir": "recommender"}


with DAG(
    dag_id="release_train",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    params={"canary_percent": 10},
):

    @task(trigger_rule="all_done")
    def barrier(ti: Any = None) -> None:
        """Fail unless all canaries hold."""
        failed = [name for name in SERVICES if not ti.xcom_pull(task_ids=f"canary_{name}")]
        if failed:
            raise AirflowFailException(f"No canary of {', '.join(failed)}: nothing is promoted.")

    gate = barrier()
    for name in SERVICES:
        canary = DeployOperator(task_id=f"canary_{name}", config=config(name), canary_percent=PERCENT)
        promote = DeployOperator(task_id=f"promote_{name}", config=config(name), canary_percent=100)
        undo = RollbackOperator(task_id=f"undo_{name}", service=name, trigger_rule="one_failed")
        canary >> gate >> promote
        [gate, promote] >> undo
