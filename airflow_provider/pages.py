"""A page for each rollout on Airflow's own server: its report, or how far it has come.

``/anyservice/rollouts/<dag>/<run>/<task>/<map index>`` is what the *Rollout* button of a task leads to. Who may see the
XComs of the DAG may see it. It needs Airflow 3.1, where plugins bring routes and browsers bring their login along.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider.memory import EVENTS, JOURNAL, REPORT
from anyservice_core.rollout.ending import report_of
from anyservice_core.rollout.facts import UNDER_WAY
from anyservice_core.rollout.journal import Journal
from anyservice_core.rollout.page import page
from anyservice_core.rollout.report import Outcome, Verdict

__all__ = ["application", "drawn"]


def drawn(report: Any, journal: Any, events: Any) -> str | None:
    """Draw the page from what a task has left in its XComs; ``None`` when it has left nothing yet."""
    told = [event for event in events or () if isinstance(event, Mapping)]
    if isinstance(report, Mapping):
        return page(report, told)
    if not isinstance(journal, Mapping):
        return None
    known = Journal.model_validate(journal).close_step(Verdict())  # the present one, undecided as yet
    service = str(told[0].get("service", "")) if told else known.version_name
    last = str(told[-1].get("message", "")) if told else "nothing was told yet"
    at = known.looked_at or time.time()
    so_far = report_of(known, Outcome.PAUSED, last, service=service, service_id="", at=at, pause=UNDER_WAY)
    return page(so_far, told, note="This rollout is under way: reload the page to see how it goes on.")


def application() -> Any:
    """Make the web application, for ``AnyservicePlugin``."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse

    app = FastAPI(title="anyservice", docs_url=None, redoc_url=None, openapi_url=None)
    guard = Depends(requires_access_dag("GET", DagAccessEntity.XCOM))

    @app.get(
        "/rollouts/{dag_id}/{run_id}/{task_id}/{map_index}", dependencies=[guard], response_class=HTMLResponse
    )
    def rollout(dag_id: str, run_id: str, task_id: str, map_index: int) -> HTMLResponse:
        found = _xcoms((REPORT, JOURNAL, EVENTS), dag_id, run_id, task_id, map_index)
        text = drawn(*found)
        return (
            HTMLResponse(text) if text else HTMLResponse("This task has told nothing of a rollout yet.", 404)
        )

    return app


def _xcoms(keys: Sequence[str], dag_id: str, run_id: str, task_id: str, map_index: int) -> list[Any]:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    task = (
        XComModel.dag_id == dag_id,
        XComModel.run_id == run_id,
        XComModel.task_id == task_id,
        XComModel.map_index == map_index,
    )
    with create_session() as session:
        rows = session.scalars(select(XComModel).where(*task, XComModel.key.in_(keys)))
        found = {row.key: XComModel.deserialize_value(row) for row in rows}
    return [found.get(key) for key in keys]
