"""Brings the pages of rollouts to Airflow's server (see ``pages.py``).

Every process of Airflow's loads its plugins, and only the server asks for this one's application. So nothing is
imported here, and the application is made when it is asked for.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.plugins_manager import AirflowPlugin

__all__ = ["AnyservicePlugin"]


class AnyservicePlugin(AirflowPlugin):
    """A page for each rollout, at ``/anyservice/rollouts/...``."""

    name = "anyservice"

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Give the application that Airflow mounts; none on an Airflow without such pages."""
        try:
            from airflow_provider.pages import application

            return [{"app": application(), "url_prefix": "/anyservice", "name": "anyservice"}]
        except ImportError as error:
            logging.getLogger("airflow_provider").info("Pages of rollouts need Airflow 3.1: %s", error)
            return []
