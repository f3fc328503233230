"""What a task has changed, for OpenLineage: the service on its control plane, as the output of the task.

The openlineage provider asks each operator when it is done. Without that provider nobody asks, and nothing is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_provider.links import ServiceLink

__all__ = ["HasLineage", "output_of"]


def output_of(address: Any, result: Any) -> tuple[str, str] | None:
    """Give namespace and name of the service that a task was about, from its console page and its result."""
    if not isinstance(address, str) or not isinstance(result, Mapping):
        return None
    name, place = result.get("name") or result.get("service"), urlsplit(address)
    return (f"anyservice://{place.netloc}", str(name)) if name and place.netloc else None


class HasLineage:
    """An operator whose output is a service."""

    task_id: str

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Give the lineage of a task that has succeeded; ``None`` if it left no trace of a service."""
        from airflow.providers.common.compat.openlineage.facet import Dataset
        from airflow.providers.openlineage.extractors import OperatorLineage  # type: ignore[import-not-found]

        found = output_of(
            task_instance.xcom_pull(task_ids=self.task_id, key=ServiceLink.key),
            task_instance.xcom_pull(task_ids=self.task_id),
        )
        return found and OperatorLineage(outputs=[Dataset(namespace=found[0], name=found[1])])
