"""What the reference of Anyscale's services documents, name by name. Read by ``generate.py`` and by tests.

A row may be here only with a test that uses it: ``tests/cli/test_parity.py`` runs each option in each spelling and looks
at what was sent; for functions and models it compares names and defaults.
"""

from __future__ import annotations

from typing import Final

REQUIRED: Final = "required"

COMMANDS: Final[dict[str, dict[str, str]]] = {
    "list": {
        "--service-id --id": "",
        "--name -n": "",
        "--cloud": "",
        "--project": "",
        "--created-by-me": "",
        "--state -s": "In any case; repeatable.",
        "--include-archived": "",
        "--max-items": "Without `--interactive` it turns paging off by itself.",
        "--page-size": "",
        "--interactive --no-interactive": "Interactive on a terminal by default.",
        "--sort": "In any case.",
        "--verbose -v": "Also for YAML.",
        "--json -j": "Also `-o json`.",
    },
    "deploy": {
        "IMPORT_PATH": "",
        "ARGUMENTS": "`key=value`, given to the application as text.",
        "--config-file -f": "`-` reads it from stdin.",
        "--name -n": "",
        "--image-uri": "",
        "--registry-login-secret": "",
        "--containerfile": "",
        "--ray-version": "",
        "--compute-config": "",
        "--working-dir -w": "",
        "--exclude -e": "Appended to the file's, as documented; the official client replaces them.",
        "--requirements -r": "",
        "--in-place -i": "",
        "--canary-percent": "",
        "--max-surge-percent": "",
        "--env": "",
        "--py-module": "",
        "--cloud": "",
        "--project": "",
    },
    "status": {
        "--name -n": "Also as an argument.",
        "--config-file -f": "",
        "--cloud": "",
        "--project": "",
        "--json -j": "Also `-o json`.",
        "--verbose -v": "",
    },
    "wait": {
        "--name -n": "Also as an argument.",
        "--config-file -f": "",
        "--cloud": "",
        "--project": "",
        "--state -s": "Repeatable: any of them will do.",
        "--timeout-s -t": "",
    },
    "rollback": {
        "--service-id --id": "",
        "--name -n": "Also as an argument.",
        "--project-id": "",
        "--config-file -f --service-config-file": "",
        "--max-surge-percent": "",
    },
    "terminate": {
        "--service-id --id": "",
        "--name -n": "Also as an argument.",
        "--project-id": "",
        "--config-file -f --service-config-file": "Any config file, also one that the official client refuses here.",
    },
    "archive": {
        "--service-id --id": "",
        "--name -n": "Also as an argument.",
        "--cloud": "",
        "--project": "",
    },
    "delete": {
        "--service-id --id": "",
        "--name -n": "Also as an argument.",
        "--cloud": "",
        "--project": "",
    },
}
"""Options by command: their spellings, and what is to be said of ours."""

_TARGET: Final = {"id": None, "name": None, "cloud": None, "project": None}
_PLACE: Final = {"cloud": None, "project": None}

FUNCTIONS: Final[dict[str, dict[str, object]]] = {
    "list": {
        "service_id": None,
        "name": None,
        "state_filter": None,
        "creator_id": None,
        "cloud": None,
        "project": None,
        "include_archived": False,
        "max_items": None,
        "page_size": None,
        "sort_field": None,
        "sort_order": None,
    },
    "deploy": {"config": REQUIRED, "in_place": False, "canary_percent": None, "max_surge_percent": None},
    "status": {"name": REQUIRED, **_PLACE},
    "wait": {"name": REQUIRED, **_PLACE, "state": "RUNNING", "timeout_s": 600},
    "rollback": {"name": None, **_PLACE, "max_surge_percent": None},
    "terminate": _TARGET,
    "archive": _TARGET,
    "delete": _TARGET,
}
"""Parameters by function, with their defaults."""

MODELS: Final[dict[str, tuple[str, ...]]] = {
    "ServiceConfig": (
        "name",
        "image_uri",
        "containerfile",
        "compute_config",
        "working_dir",
        "excludes",
        "requirements",
        "env_vars",
        "py_modules",
        "py_executable",
        "cloud",
        "project",
        "registry_login_secret",
        "ray_version",
        "applications",
        "query_auth_token_enabled",
        "http_options",
        "grpc_options",
        "logging_config",
        "ray_gcs_external_storage_config",
        "tracing_config",
    ),
    "RayGCSExternalStorageConfig": ("enabled", "address", "certificate_path"),
    "TracingConfig": ("enabled", "exporter_import_path", "sampling_ratio"),
    "ServiceStatus": (
        "name",
        "id",
        "state",
        "query_url",
        "creator",
        "query_auth_token",
        "primary_version",
        "canary_version",
        "project",
    ),
    "ServiceVersionStatus": ("id", "state", "weight", "created_at", "config"),
}
"""Fields by model. Those that a user makes also have ``options()``; all have ``to_dict()``."""

STATES: Final = (
    "STARTING",
    "RUNNING",
    "UPDATING",
    "ROLLING_OUT",
    "ROLLING_BACK",
    "UNHEALTHY",
    "TERMINATING",
    "TERMINATED",
    "UNKNOWN",
    "SYSTEM_FAILURE",
)
