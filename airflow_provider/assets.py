"""Services as Airflow's assets: ``anyservice://<place>/<service>``.

    RECOMMENDER = service_asset("recommender", place="prod")
    RolloutOperator(..., outlets=[RECOMMENDER])          tells it of each version that was brought
    DAG(..., schedule=[RECOMMENDER])                     runs after that

``place`` is a word of your own for a control plane, a cloud or a project: whatever sets two services of one
name apart. This module is read whenever Airflow lists its providers, so it imports nothing heavy.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from airflow_provider.compat import ASSET_NAMES, ASSET_STORE, has, supported

if TYPE_CHECKING:
    from airflow.sdk import Asset

__all__ = ["STABLE", "announce", "brought", "sanitize_uri", "service_asset", "stable_version"]

STABLE = "stable_version"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_log = logging.getLogger("airflow_provider")


def service_asset(service: str, *, place: str = "default", **options: Any) -> Asset:
    """Give a service's asset. ``options`` are those of ``Asset``, such as ``watchers`` or ``group``.

    Raises ``ValueError`` for a name or a place that an address cannot hold.
    """
    from airflow.providers.common.compat.sdk import Asset

    uri = urlunsplit(sanitize_uri(urlsplit(f"anyservice://{place}/{service}")))
    if not supported(ASSET_NAMES):
        if options.keys() - {"extra"}:
            has(ASSET_NAMES)
        return Asset(uri=uri, extra=options.get("extra"))
    return Asset(uri=uri, **{"name": f"{service}@{place}", **options})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check an asset's URI. Raises ``ValueError`` that says what it has to look like."""
    service = unquote(uri.path).strip("/")
    if not (_WORD.fullmatch(uri.netloc) and _WORD.fullmatch(service)) or uri.query or uri.fragment:
        raise ValueError(
            f"{uri.geturl()!r} names no service: write anyservice://<place>/<service>, without anything else."
        )
    return uri._replace(netloc=uri.netloc.lower(), path=f"/{service}")


def announce(context: Any, outlets: Any, facts: Mapping[str, Any], *, stable: bool) -> None:
    """Put ``facts`` on the event that each service among the outlets gets, and remember a ``stable`` version.

    Airflow emits the events when the task has succeeded. The memory, Airflow's asset state store (3.3), is a hint:
    what goes wrong with it does not fail the task.
    """
    for asset in _services(outlets):
        events = context.get("outlet_events")
        if events is not None:
            events[asset].extra = dict(facts)
        store = context.get("asset_state_store")
        if stable and has(ASSET_STORE) and store is not None:
            try:
                store[asset].set(STABLE, dict(facts))
            except Exception:  # noqa: BLE001
                _log.warning("The stable version of %s could not be kept.", asset.uri, exc_info=True)


def brought(report: Mapping[str, Any], address: str | None) -> dict[str, Any]:
    """What is told of a rollout that has brought its version to all traffic; ``address``: where the service answers."""
    return {
        "service": report.get("service"),
        "version": report.get("version_name"),
        "version_id": report.get("version"),
        "weight": 100,
        "verdict": report.get("outcome"),
        "url": address,
    }


def stable_version(context: Any, asset: Asset) -> dict[str, Any] | None:
    """Give what was last announced of the service when all traffic was its version's; ``None`` if nothing was.

    The task needs the asset among its ``inlets`` or ``outlets``. Below Airflow 3.3 there is no memory of it.
    """
    store = context.get("asset_state_store")
    found = store[asset].get(STABLE) if store is not None else None
    return dict(found) if isinstance(found, Mapping) else None


def _services(outlets: Any) -> Iterator[Any]:
    for asset in outlets or ():
        if str(getattr(asset, "uri", "")).startswith("anyservice:"):
            yield asset
