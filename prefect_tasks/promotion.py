"""The version that serves as an asset: each promotion materialises ``anyservice://<control plane>/<service>``."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from prefect.assets import Asset, AssetProperties, add_asset_metadata, materialize
from prefect.cache_policies import NO_CACHE

from anyservice_core import RolloutReport
from anyservice_core.rollout import Outcome

__all__ = ["asset_key", "record"]

_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9._~-]+")


def asset_key(service: str, console: str) -> str:
    """Give the asset of a service; ``console`` is the control plane's host."""
    place = urlsplit(console).netloc or console
    return "anyservice://" + "/".join(
        _NOT_IN_A_KEY.sub("-", part).strip("-") or "-" for part in (place, service)
    )


def record(report: RolloutReport, console: str) -> None:
    """Materialise the asset of the service that was promoted. Nothing is promoted where nothing changed."""
    if report.outcome is not Outcome.SUCCEEDED:
        return
    what = AssetProperties(
        name=report.service, description=f"The version of {report.service} that serves its users."
    )
    asset = Asset(key=asset_key(report.service, console), properties=what)
    facts = {
        "version": report.version,
        "version_name": report.version_name,
        "version_before": report.baseline_version,
        "requests_compared": report.requests,
        "reason": report.reason,
    }

    def promoted(facts: dict[str, Any]) -> None:
        add_asset_metadata(asset, facts)

    name = f"promoted {report.service}"
    made: Any = materialize(
        asset,
        by="anyservice",
        name="promoted",
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(promoted)
    made(facts)
