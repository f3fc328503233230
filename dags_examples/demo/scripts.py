"""The programs of a run: the plane, Airflow, Prefect, each with a home of its own under the work folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dags_examples.demo.processes import Program

__all__ = ["Script", "plane_down", "plane_up", "script"]

EXAMPLES = Path(__file__).resolve().parent.parent
PLAN = Path(__file__).with_name("rollout.yaml")
_ANYSERVICE = (sys.executable, "-c", "from anyservice_core.cli import main; main()")


@dataclass(frozen=True)
class Script:
    """What is run for each part. ``warm``: what may be made ready while nothing depends on it yet."""

    warm: tuple[Program, ...]
    roll_out_v2: Program
    roll_out_v3: Program


def at_plane(work: Path) -> dict[str, str]:
    """Point a program at the plane of this run, and at no other that the user may have."""
    nowhere = dict.fromkeys(("ANYSCALE_HOST", "ANYSCALE_CLI_TOKEN", "ANYSERVICE_CLI_TOKEN"), "")
    return {**nowhere, "ANYSERVICE_STATE_DIR": str(work / "state"), "ANYSERVICE_HOST": "local"}


def plane_up(work: Path, engine: str) -> Program:
    command = (*_ANYSERVICE, "plane", "up", "-d", "--port", "0", "--engine", engine)
    return Program("plane-up", command, at_plane(work))


def plane_down(work: Path) -> Program:
    return Program("plane-down", (*_ANYSERVICE, "plane", "down"), at_plane(work))


def script(work: Path) -> Script:
    """Give the real thing: v2 by the Airflow DAG, v3 by the Prefect flow."""
    airflow, prefect = _airflow(work), _prefect(work)
    return Script(
        warm=(
            Program("airflow-db", (_tool("airflow"), "db", "migrate"), airflow),
            Program("prefect-db", (_tool("prefect"), "server", "database", "upgrade", "-y"), prefect),
        ),
        roll_out_v2=Program(
            "airflow-v2",
            (
                _tool("airflow"),
                "dags",
                "test",
                "-f",
                str(EXAMPLES / "digits_rollout_dag.py"),
                "digits_rollout",
            ),
            {**airflow, **_what(work, "v2")},
        ),
        roll_out_v3=Program(
            "prefect-v3",
            (sys.executable, str(EXAMPLES / "digits_rollout_flow.py")),
            {**prefect, **_what(work, "v3")},
        ),
    )


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _what(work: Path, version: str) -> dict[str, str]:
    """Say what to roll out, and by which plan; both examples read these."""
    return {"DIGITS_CONFIG": str(work / "services" / version / "service.yaml"), "DIGITS_PLAN": str(PLAN)}


def _airflow(work: Path) -> Mapping[str, str]:
    return {
        **at_plane(work),
        "AIRFLOW_HOME": str(work / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__ANYSERVICE__LET_GO_S": "0",  # a `dag.test()` has no executor to wait for
        "AIRFLOW_CONN_ANYSERVICE_DEFAULT": '{"conn_type": "anyservice", "host": "local"}',
    }


def _prefect(work: Path) -> Mapping[str, str]:
    return {
        **at_plane(work),
        "PREFECT_HOME": str(work / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_COLORS": "false",
        "NO_COLOR": "1",
    }
