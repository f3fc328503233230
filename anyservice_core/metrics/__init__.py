"""Where measurements come from.

Every provider is a generator of effects that ends with a ``Reading``; it never raises for a source
that is down, since an outage of the source says nothing about the canary: that is ``Unreadable``.
"""

from __future__ import annotations

from anyservice_core.metrics.headers import FromEnv
from anyservice_core.metrics.probe import Expect, Probe, measure_probe
from anyservice_core.metrics.prometheus import Prometheus, measure_prometheus
from anyservice_core.metrics.providers import ByName, Provider, measure, provider, spelled
from anyservice_core.metrics.python import Python, measure_python
from anyservice_core.metrics.reading import Count, Increase, Level, Reading, Said, Target, Totals, Unreadable
from anyservice_core.metrics.router import measure_router
from anyservice_core.metrics.source import TO_BE_SHOWN, Source
from anyservice_core.metrics.web import Web, measure_web

__all__ = [
    "TO_BE_SHOWN",
    "ByName",
    "Count",
    "Expect",
    "FromEnv",
    "Increase",
    "Level",
    "Probe",
    "Prometheus",
    "Provider",
    "Python",
    "Reading",
    "Said",
    "Source",
    "Target",
    "Totals",
    "Unreadable",
    "Web",
    "measure",
    "measure_probe",
    "measure_prometheus",
    "measure_python",
    "measure_router",
    "measure_web",
    "provider",
    "spelled",
]
