"""Roll the recommender out on working days, step by step, and take it back if it errs more than the present one.

A night without a new version is a success that sends nothing. One task does it all; while it waits it is
deferred, so it holds no worker. A version that was taken back fails the run and is not retried; `retries`
are for a control plane that does not answer, and a retry goes on with the canary that is there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider.operators import RolloutOperator

with DAG(
    dag_id="nightly_rollout",
    schedule="0 9 * * mon-thu",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
):
    RolloutOperator(
        task_id="rollout",
        config="recommender/service.yaml",
        plan="recommender/rollout.yaml",
    )
