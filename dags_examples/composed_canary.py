"""A canary of separate tasks, so that other tasks may come between them; each step is seen in the grid.

If one of them fails, `undo` takes the canary back. It then fails itself: Airflow judges a run by its last
tasks, and a run whose canary was taken back shall be red.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_provider.operators import DeployOperator, RollbackOperator
from airflow_provider.sensors import WaitSensor

CONFIG = "recommender/service.yaml"
RESULT = "ti.xcom_pull(task_ids='canary')"
DEPLOYED = f"({RESULT}['canary_version'] or {RESULT}['primary_version'])"

with DAG(
    dag_id="composed_canary",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    params={"canary_percent": 10},
):
    canary = DeployOperator(task_id="canary", config=CONFIG, canary_percent="{{ params.canary_percent }}")
    holding = WaitSensor(
        task_id="holding",
        service="recommender",
        version=f"{{{{ {DEPLOYED}['name'] }}}}",  # so that the first version ever, which has no canary, will do
        canary_weight="{{ params.canary_percent }}",
        timeout=600,
    )
    promote = DeployOperator(task_id="promote", config=CONFIG, canary_percent=100)
    undo = RollbackOperator(task_id="undo", service="recommender", trigger_rule="one_failed")

    canary >> holding >> promote
    [canary, holding, promote] >> undo
