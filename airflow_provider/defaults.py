"""What tasks do unless they say otherwise: the section ``[anyservice]`` of Airflow's configuration."""

from __future__ import annotations

from typing import cast

from airflow.providers.common.compat.sdk import conf

from airflow_provider.killing import OnKill

__all__ = ["defers", "let_go_s", "on_kill", "poll_interval_s"]


def defers() -> bool:
    """Whether tasks wait in the triggerer.

    It stands in for ``[operators] default_deferrable``, which is false unless somebody sets it: that cannot be told from
    somebody's choice.
    """
    return bool(conf.getboolean("anyservice", "deferrable", fallback=True))


def poll_interval_s() -> float:
    """Seconds between looks at a service."""
    return float(conf.getfloat("anyservice", "poll_interval_s", fallback=5.0))


def let_go_s() -> float:
    """Seconds after which a worker has surely let go of a task that it deferred, and the executor has said so."""
    return float(conf.getfloat("anyservice", "let_go_s", fallback=10.0))


def on_kill() -> OnKill:
    """What becomes of a canary when its task is killed."""
    return cast(OnKill, conf.get("anyservice", "on_kill", fallback="leave"))
