"""A sensor for the state of a service, or for the weight of a version."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider import defaults
from airflow_provider.compat import portable
from airflow_provider.errors import GRACE_S, airflow_errors, result_of
from airflow_provider.goals import judged
from airflow_provider.hooks import ServiceHook, report
from airflow_provider.inputs import read_percent
from airflow_provider.links import ServiceLink
from airflow_provider.summary import summary
from anyservice_core import AnyserviceError

__all__ = ["WaitSensor"]


class WaitSensor(BaseSensorOperator):
    """Waits until a service is in a state, or until a version is healthy at a weight. Gives what it saw then.

    It fails at once on what cannot lead to the goal, such as a version that was rolled back. An answer
    that fails to come costs a poke, not the wait.

    Args:
        service: the service's name (templated).
        state: the state, or several of which one will do.
        version: a version's name or id (templated): *it* has to be healthy, as the primary or at ``canary_weight``.
        canary_weight: percent of the traffic that the canary has to hold (templated).
        deferrable: wait in the triggerer; by default as ``[anyservice] deferrable``, which is true, and not where
            ``mode="reschedule"`` is given.
        conn_id: the Airflow connection to the control plane.
        kwargs: as every sensor takes them; ``poke_interval`` is 10 s unless given.
    """

    hook_class: type[ServiceHook] = ServiceHook
    operator_extra_links = (ServiceLink(),)
    template_fields = ("service", "version", "canary_weight")
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        service: str,
        state: str | Iterable[str] = "RUNNING",
        version: str | None = None,
        canary_weight: int | str | None = None,
        deferrable: bool | None = None,
        conn_id: str = ServiceHook.default_conn_name,
        poke_interval: timedelta | float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **portable(kwargs))
        self.service = service
        self.state = [state] if isinstance(state, str) else list(state)
        self.version = version
        self.canary_weight = canary_weight
        self.deferrable = defaults.defers() and not self.reschedule if deferrable is None else deferrable
        self.conn_id = conn_id

    def poke(self, context: Any) -> bool | PokeReturnValue:
        with airflow_errors():
            goal = self._goal()
            try:
                with self.hook_class(self.conn_id).get_conn() as client:
                    status = client.status(self.service)
                    ServiceLink.leave(context, client.settings.host, status.id)
            except AnyserviceError as error:
                if not error.retryable:
                    raise
                report(f"{self.service}: no answer, looking again: {error}")
                return False
            missing = judged(status, goal)
        if missing is None:
            return PokeReturnValue(is_done=True, xcom_value=summary(status))
        report(f"{self.service} is {status.state}: {missing}")
        return False

    def execute(self, context: Any) -> Any:
        if not self.deferrable:
            return super().execute(context)
        from airflow_provider.triggers import WaitTrigger

        found = self._first_poke(context)
        if isinstance(found, PokeReturnValue):
            return found.xcom_value
        return self.defer(
            trigger=WaitTrigger(
                conn_id=self.conn_id,
                poll_interval_s=float(self.poke_interval),
                service={"name": self.service},
                goal=self._goal(),
                deadline=time.time() + self.timeout,
            ),
            method_name="resume",
            timeout=timedelta(seconds=self.timeout + GRACE_S),
        )

    def resume(self, context: Any, event: Mapping[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Go on after the triggerer has seen the end."""
        if event and event.get("error") == "WaitTimeoutError":
            raise AirflowSensorTimeout(event["message"])
        return result_of(event)

    def _first_poke(self, context: Any) -> bool | PokeReturnValue:
        try:
            return self.poke(context)
        except AirflowFailException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from None
            raise

    def _goal(self) -> dict[str, Any]:
        weight = read_percent("canary_weight", self.canary_weight)
        return {"state": self.state, "version": self.version, "canary_weight": weight}
