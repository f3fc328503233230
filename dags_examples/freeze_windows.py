"""Roll out in office hours only, and never in the holidays; a rollout that is under way then holds its weight.

The windows are part of the plan, so they hold in the command line too. What goes back is never held: a canary that fails at
night is taken back at night. `step_in` is the way around them in an emergency: its order `promote` goes past a window.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_provider.operators import RolloutOperator

with DAG(
    dag_id="freeze_windows",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
):
    RolloutOperator(
        task_id="rollout",
        config="recommender/service.yaml",
        plan={
            "steps": [10, 50],
            "bake": "10m",
            "windows": [
                {
                    "kind": "allow",
                    "schedule": "0 9 * * mon-thu",
                    "duration": "8h",
                    "timezone": "Europe/London",
                },
                {
                    "kind": "deny",
                    "schedule": "0 0 20 12 *",
                    "duration": "14d",
                    "timezone": "Europe/London",
                    "reason": "holidays",
                },
            ],
        },
    )
