"""Takes the canary back when something of Airflow's says that it is time to: a failure, a deadline.

DAG(..., on_failure_callback=RollbackNotifier(service="recommender"))
DAG(..., deadline=DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(hours=2),
    callback=AsyncCallback(RollbackNotifier, kwargs={"service": "recommender"}),
))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseNotifier

from airflow_provider.hooks import ServiceHook

if TYPE_CHECKING:
    from anyservice_core.effects import Op

__all__ = ["RollbackNotifier"]


class RollbackNotifier(BaseNotifier):
    """Rolls a service back if a rollout is under way there; else it only says so in the log.

    It does not wait for the end of the way back, and never stops a service.

    Args:
        service: the service's name (templated).
        version: take back only this version, by name or id (templated); ``None``: whichever is the canary.
        conn_id: the Airflow connection to the control plane.
        kwargs: as ``BaseNotifier`` takes them.
    """

    hook_class: type[ServiceHook] = ServiceHook
    template_fields = ("service", "version")

    def __init__(
        self,
        *,
        service: str,
        version: str | None = None,
        conn_id: str = ServiceHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.service = service
        self.version = version
        self.conn_id = conn_id

    def notify(self, context: Any) -> None:  # noqa: ARG002
        """Do it from a worker or from the DAG processor."""
        with self.hook_class(self.conn_id).get_conn() as client:
            client.run(_take_back(self.service, self.version))

    async def async_notify(self, context: Any) -> None:  # noqa: ARG002
        """Do it from the triggerer, without a blocking call."""
        async with await self.hook_class(self.conn_id).aget_conn() as client:
            await client.run(_take_back(self.service, self.version))


def _take_back(service: str, version: str | None) -> Op[None]:
    from anyservice_core.effects import Report
    from anyservice_core.operations import services

    yield from Report((yield from services.take_back(service, version=version)))
