"""Taking back a canary whose rollout nobody runs any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyservice_core.cli.known import clock
from anyservice_core.cli.reporting import show_report

if TYPE_CHECKING:
    from anyservice_core.client import Client
    from anyservice_core.ledger import Ledger
    from anyservice_core.rollout import Journal
    from anyservice_core.rollout.orders import Order

__all__ = ["take_back"]


def take_back(client: Client, ledger: Ledger, journal: Journal, order: Order) -> None:
    """Be the one who runs the rollout, for as long as it takes to obey the order.

    So everything that holds for a run holds here: it takes back its own canary only, waits until that is done,
    and writes the report. No metric is asked, since nothing that it could say would matter.
    """
    from anyservice_core.errors import RolloutError
    from anyservice_core.operations.relay import Relay
    from anyservice_core.rollout import Outcome, RolloutPlan

    plan = (ledger.plan() or RolloutPlan(steps=())).model_copy(update={"metrics": ()})
    place = ledger.place
    told = client.on_report
    with ledger.held():
        ledger.order(order)
        hooks = ledger.hooks()
        client.on_save, client.on_orders = hooks["on_save"], hooks["on_orders"]

        def on_report(event: object) -> None:
            if told:
                told(event)
            hooks["on_report"](event)

        client.on_report = on_report
        relay = Relay(
            service=place.service,
            cloud=place.cloud,
            project=place.project,
            journal=journal.resumed(clock(client)),
        )
        try:
            client.follow_rollout(relay, plan)
        except RolloutError as error:
            show_report(error.report, ledger)
            if journal.started and error.report.get("outcome") != Outcome.ROLLED_BACK:
                raise
