"""Bring a new version of the digits classifier to its users every day, step by step.

    airflow dags test digits_rollout        or        python digits_rollout_dag.py

`DIGITS_CONFIG` and `DIGITS_PLAN` are the paths of the service's config and of the rollout's plan, seen from
here. The connection `anyservice_default` says which control plane is meant; the one on this machine is
`export AIRFLOW_CONN_ANYSERVICE_DEFAULT='{"conn_type": "anyservice", "host": "local"}'`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_provider.operators import RolloutOperator

with DAG(
    dag_id="digits_rollout",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
) as dag:
    RolloutOperator(
        task_id="rollout",
        config=os.environ.get("DIGITS_CONFIG", "digits.yaml"),
        plan=os.environ.get("DIGITS_PLAN", "digits_rollout.yaml"),
        poll_interval_s=1,
    )

if __name__ == "__main__":
    raise SystemExit(0 if dag.test().state == "success" else 1)
