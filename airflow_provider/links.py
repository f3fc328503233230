"""Buttons on a task's page in Airflow's UI. All of them are there while the task is deferred, too."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom, conf

from airflow_provider.compat import PAGES, supported

__all__ = ["ReportLink", "ServiceLink"]


class ServiceLink(BaseOperatorLink):
    """Leads to the service in the control plane's console."""

    name = "Service"
    key: ClassVar[str] = "service_url"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """Give the address that the task left; an empty text where it has left none."""
        return XCom.get_value(ti_key=ti_key, key=self.key) or ""

    @classmethod
    def leave(cls, context: Any, host: str, service_id: str) -> None:
        """Leave the address of a service for the button. It holds no token."""
        context["ti"].xcom_push(cls.key, f"{host}/services/{service_id}")


class ReportLink(BaseOperatorLink):
    """Leads to the rollout's report, which Airflow's own server draws (see ``airflow_provider.plugin``)."""

    name = "Rollout"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """Give the address, which needs nothing from the task and so is there at once; nothing where there are no pages."""
        if not supported(PAGES):
            return ""
        base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
        where = (ti_key.dag_id, ti_key.run_id, ti_key.task_id, str(ti_key.map_index))
        return f"{base}/anyservice/rollouts/" + "/".join(quote(part, safe="") for part in where)
