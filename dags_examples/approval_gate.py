"""Roll the recommender out in tasks of its own for each step, and let a person say yes before the last.

The approval stands in Airflow's required actions for an hour, as a plane allows a whole rollout two. A "no", or nobody's
answer, fails it; then `undo` takes the canary back and the run is red. Every step is judged by the whole plan, as in one
task.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider.group import progressive_deploy_group
from anyservice_core import RolloutPlan

HERE = Path(__file__).parent / "recommender"
PLAN = RolloutPlan.from_yaml(HERE / "rollout.yaml")

with DAG(
    dag_id="approval_gate", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), max_active_runs=1
):
    progressive_deploy_group(
        str(HERE / "service.yaml"),
        {**PLAN.to_dict(), "promotion": {"timeout": "1h", "on_timeout": "rollback"}},
        service="recommender",
        deferrable=True,
    )
