"""Where measurements come from.

Every provider is a generator of effects that ends with a ``Reading``; it never raises for a source
that is down, since an outage of the source says nothing about the canary: that is ``Unreadable``.
"""

from __future__ import annotations

from anyservice_core.metrics.prometheus import Prometheus, measure_prometheus
from anyservice_core.metrics.reading import Count, Increase, Level, Reading, Target, Totals, Unreadable
from anyservice_core.metrics.router import measure_router

__all__ = [
    "Count",
    "Increase",
    "Level",
    "Prometheus",
    "Reading",
    "Target",
    "Totals",
    "Unreadable",
    "measure_prometheus",
    "measure_router",
]
