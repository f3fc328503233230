"""Two buttons for whoever is on call: take a rollout back by hand, or have a word with the one that runs.

Both are triggered in the UI, which makes a form of their parameters.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from airflow_provider.operators import OrderOperator, RollbackOperator

SERVICE = Param("recommender", type="string", title="Service")
START = datetime(2026, 1, 1, tzinfo=UTC)

with DAG(
    dag_id="rollback_by_hand",
    schedule=None,
    start_date=START,
    params={
        "service": SERVICE,
        "version": Param(None, type=["null", "string"], title="Only if the canary is this version"),
    },
    render_template_as_native_obj=True,
):
    RollbackOperator(
        task_id="rollback",
        service="{{ params.service }}",
        version="{{ params.version }}",
        must_exist=True,
    )

with DAG(
    dag_id="step_in",
    schedule=None,
    start_date=START,
    params={
        "service": SERVICE,
        "order": Param(
            "pause",
            enum=["approve", "promote", "promote-full", "pause", "resume", "abort"],
            title="What it shall do",
        ),
        "gate": Param("", type="string", title="Approve which gate: a weight, or promotion; empty: the next"),
        "reason": Param("", type="string", title="Why"),
    },
):
    OrderOperator(
        task_id="order",
        service="{{ params.service }}",
        kind="{{ params.order }}",
        gate="{{ params.gate }}",
        reason="{{ params.reason }}",
    )
