"""The router: makes the running HAProxy do what the routes say.

``Router`` (``shell``) stands around rooms that can each be read alone: ``routes`` (what is asked of it), ``config``
(what HAProxy is told), ``gateway`` (the port that all services share), ``moves`` (how a running one is led there), ``tally`` (how its counters add up), ``haproxy``
(the process), ``access`` (its log of requests), and ``books`` (what the store keeps of the traffic). It keeps no truth of its own: a new ``Router`` on
the same directories adopts the HAProxy that runs there.
"""

from __future__ import annotations

from anyservice_core.plane.router.routes import Beyond, Route, Server, Slot
from anyservice_core.plane.router.shell import Router
from anyservice_core.plane.router.tally import SlotCounters

__all__ = ["Beyond", "Route", "Router", "Server", "Slot", "SlotCounters"]
