"""What it takes to ask a source about the past: whether it can answer, which names it needs, how often it is asked."""

from __future__ import annotations

from typing import Any

from anyservice_core.metrics.probe import Probe
from anyservice_core.metrics.prometheus import Prometheus
from anyservice_core.metrics.providers import Provider
from anyservice_core.metrics.source import Source
from anyservice_core.metrics.template import NAMES, mentions
from anyservice_core.metrics.web import Web

__all__ = ["knows_the_past", "names_in", "requests_each"]


def knows_the_past(provider: Provider) -> str | None:
    """Why it cannot say how things were at a moment in the past; ``None`` where it can."""
    match provider:
        case Prometheus():
            return None
        case Web() if any(
            mentions([provider.url, provider.body], name) for name in ("window.end", "window.start")
        ):
            return None
        case Web():
            return "neither `url` nor `body` names {{ window.end }}, so it answers for the present"
        case Probe():
            return "it asks the service itself, as that is now"
        case "router":
            return "the router's counters are sums up to now"
        case "service":
            return "nobody keeps how healthy the service was"
        case _:
            return "it is a function that is called now"


def names_in(provider: Provider) -> set[str]:
    """The names that are to be filled in, such as ``canary.name``."""
    if not isinstance(provider, Source):
        return set()
    asked: Any = provider.model_dump(exclude={"headers", "call"})
    return {name for name in NAMES if mentions(asked, name)}


def requests_each(provider: Provider, *, compare: bool) -> int:
    """How many requests one measurement is, at most."""
    if not compare:
        return 1
    return 4 if isinstance(provider, Prometheus) else 2
