"""Deploy when there is a new model: training tells that it is there, and the rollout brings it to its users.

The model's address comes from the event, so each model is a version of its own and a run without an event changes
nothing. The service is an asset too: DAGs that are scheduled by it run after each version that was brought.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Asset, Metadata, task

from airflow_provider.assets import service_asset
from airflow_provider.operators import RolloutOperator

MODEL = Asset("recommender_model", uri="s3://models/recommender")
RECOMMENDER = service_asset("recommender")
START = datetime(2026, 1, 1, tzinfo=UTC)

with DAG(dag_id="train_recommender", schedule="@weekly", start_date=START, catchup=False):

    @task(outlets=[MODEL])
    def train() -> Iterator[Metadata]:
        """Train it, put it into the store, and say under which address."""
        made = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        yield Metadata(MODEL, {"address": f"s3://models/recommender/{made}.pkl"})

    train()

with DAG(dag_id="deploy_model", schedule=[MODEL], start_date=START, catchup=False, max_active_runs=1):

    @task(inlets=[MODEL])
    def newest(triggering_asset_events: Any = None) -> str:
        """Give the address of the model that the run is about."""
        events = (triggering_asset_events or {}).get(MODEL, [])
        found = [event.extra["address"] for event in events if "address" in event.extra]
        return found[-1] if found else "s3://models/recommender/none.pkl"

    model = newest()
    rollout = RolloutOperator(
        task_id="rollout",
        config={
            "name": "recommender",
            "applications": [{"import_path": "main:app"}],
            "working_dir": "recommender",
            "env_vars": {"MODEL": "{{ ti.xcom_pull(task_ids='newest') }}"},
        },
        plan="recommender/rollout.yaml",
        outlets=[RECOMMENDER],
    )
    model >> rollout
