"""Progressive delivery of Ray Serve services as Airflow tasks.

Operators are in ``airflow_provider.operators``, the sensor in ``airflow_provider.sensors``. This module
is read whenever Airflow lists its providers, so it imports nothing.
"""

from __future__ import annotations

from typing import Any

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """What Airflow shows of this provider: its connection type with a form, its links, and what else it brings."""
    return {
        "package-name": "anyservice",
        "name": "Anyservice",
        "description": "Progressive delivery for Ray Serve services on an Anyscale-compatible control plane.",
        "connection-types": [
            {
                "connection-type": "anyservice",
                "hook-class-name": "airflow_provider.hooks.ServiceHook",
                "hook-name": "Anyservice",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "port"],
                    "relabeling": {"host": "Control plane", "password": "API token"},
                    "placeholders": {
                        "host": "https://console.anyscale.com, or local for the plane on this machine",
                        "password": "may stay empty for the plane on this machine",
                    },
                },
                "conn-fields": _CONN_FIELDS,
            }
        ],
        "extra-links": ["airflow_provider.links.ServiceLink", "airflow_provider.links.ReportLink"],
        "notifications": ["airflow_provider.notifier.RollbackNotifier"],
        "task-decorators": [
            {"name": "canary_check", "class-name": "airflow_provider.decorator.canary_check"}
        ],
        "asset-uris": _URIS,
        "dataset-uris": _URIS,  # the same in the words of Airflow 2
        "config": {
            "anyservice": {"description": "What tasks do unless they say otherwise.", "options": _OPTIONS}
        },
    }


_URIS = [{"schemes": ["anyservice"], "handler": "airflow_provider.assets.sanitize_uri"}]

_CONN_FIELDS: dict[str, Any] = {
    "cloud": {
        "label": "Cloud",
        "schema": {"type": ["string", "null"]},
        "description": "A name. Without one, the default cloud of the organization.",
    },
    "project": {
        "label": "Project",
        "schema": {"type": ["string", "null"]},
        "description": "A name. Without one, the default project of the cloud.",
    },
    "verify_tls": {
        "label": "Verify TLS",
        "schema": {"type": "boolean", "default": True},
        "description": "Off only for a control plane whose certificate is of your own making.",
    },
    "timeout_s": {
        "label": "Timeout",
        "schema": {"type": "number", "minimum": 1, "default": 30},
        "description": "Seconds that one request may take.",
    },
}

_OPTIONS: dict[str, Any] = {
    "deferrable": {
        "description": "Whether tasks wait in the triggerer, where they hold no worker. Takes the place of "
        "default_deferrable in the section operators.",
        "version_added": "0.1.0",
        "type": "boolean",
        "example": None,
        "default": "True",
    },
    "poll_interval_s": {
        "description": "Seconds between looks at a service.",
        "version_added": "0.1.0",
        "type": "float",
        "example": None,
        "default": "5",
    },
    "let_go_s": {
        "description": "Seconds from a deferral before which no task is resumed: Airflow takes one that is resumed "
        "before the executor has reported the deferral for one that died. 0 where tasks run without an executor, in tests.",
        "version_added": "0.1.0",
        "type": "float",
        "example": "0",
        "default": "10",
    },
    "on_kill": {
        "description": "What becomes of a canary when its task is killed or marked failed: leave or rollback.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "rollback",
        "default": "leave",
    },
}
