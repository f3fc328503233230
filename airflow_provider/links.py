"""Buttons on a task's page in Airflow's UI."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

__all__ = ["ServiceLink"]


class ServiceLink(BaseOperatorLink):
    """Leads to the service in the control plane's console. It is there while the task is deferred, too."""

    name = "Service"
    key: ClassVar[str] = "service_url"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """Give the address that the task left; an empty text where it has left none."""
        return XCom.get_value(ti_key=ti_key, key=self.key) or ""

    @classmethod
    def leave(cls, context: Any, host: str, service_id: str) -> None:
        """Leave the address of a service for the button. It holds no token."""
        context["ti"].xcom_push(cls.key, f"{host}/services/{service_id}")
