"""What the operators share: reaching a goal, in the worker or deferred, and what a kill means."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator, BaseOperatorLink

from airflow_provider import defaults
from airflow_provider.compat import is_late, portable
from airflow_provider.errors import GRACE_S, airflow_errors, failure, result_of
from airflow_provider.goals import judged
from airflow_provider.hooks import ServiceHook, report
from airflow_provider.killing import LEFT, MINE, OnKill, say_what_holds, take_back
from airflow_provider.lineage import HasLineage
from airflow_provider.links import ServiceLink
from airflow_provider.summary import summary
from anyservice_core import WaitTimeoutError

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from anyservice_core import Client, ServiceStatus

__all__ = ["ServiceOperator"]


class ServiceOperator(HasLineage, BaseOperator):
    """An operator that acts on a service and waits for what comes of it.

    Args:
        wait: whether the task's success means that the goal is reached, or only that it was asked for.
        timeout_s: seconds to wait, from when the task began to wait.
        poll_interval_s: seconds between looks at the service; by default as ``[anyservice] poll_interval_s``, which is 5.
        deferrable: wait in the triggerer, without a worker; by default as ``[anyservice] deferrable``, which is true.
        on_kill: what becomes of the canary when the task is killed, marked failed or ended by a time-out of Airflow's:
            ``"leave"`` or ``"rollback"``; by default as ``[anyservice] on_kill``, which is ``leave``.
        conn_id: the Airflow connection to the control plane.
    """

    hook_class: type[ServiceHook] = ServiceHook
    operator_extra_links: Collection[BaseOperatorLink] = (ServiceLink(),)
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        wait: bool = True,
        timeout_s: float = 1800.0,
        poll_interval_s: float | None = None,
        deferrable: bool | None = None,
        on_kill: OnKill | None = None,
        conn_id: str = ServiceHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**portable(kwargs))
        self.wait = wait
        self.timeout_s = timeout_s
        self.poll_interval_s = poll_interval_s or defaults.poll_interval_s()
        self.deferrable = defaults.defers() if deferrable is None else deferrable
        self.on_kill_do: OnKill = on_kill or defaults.on_kill()
        self.conn_id = conn_id
        self.mine: dict[str, Any] | None = None  # the canary that a kill may take back

    @property
    def hook(self) -> ServiceHook:
        return self.hook_class(self.conn_id)

    def reach(
        self, context: Any, client: Client, status: ServiceStatus, goal: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Wait for ``goal``, which holds arguments of ``Client.wait``; deferred, the rest is in ``resume``."""
        ServiceLink.leave(context, client.settings.host, status.id)
        if self.wait and judged(status, goal) is not None:
            if self.deferrable:
                self._wait_deferred(context, status.id, goal)
            status = client.wait(
                id=status.id, **goal, timeout_s=self.timeout_s, poll_interval_s=self.poll_interval_s
            )
        return self.done(context, summary(status))

    def _wait_deferred(self, context: Any, service_id: str, goal: Mapping[str, Any]) -> NoReturn:
        from airflow_provider.triggers import WaitTrigger

        waiting = WaitTrigger(
            conn_id=self.conn_id,
            poll_interval_s=self.poll_interval_s,
            mine=self.mine,
            on_kill_do=self.on_kill_do,
            service={"id": service_id},
            goal=goal,
            deadline=time.time() + self.timeout_s,
        )
        self.hand_over(context, waiting, self.timeout_s)

    def hand_over(self, context: Any, trigger: BaseTrigger, timeout_s: float | None) -> NoReturn:
        """Let the triggerer go on, and ``resume`` with what it has seen. ``None`` seconds: for as long as it takes."""
        if self.on_kill_do == "rollback" and self.mine is not None:
            say_what_holds(self.on_kill_do)
            context["ti"].xcom_push(MINE, self.mine)
        longest = None if timeout_s is None else timedelta(seconds=timeout_s + GRACE_S)
        self.defer(trigger=trigger, method_name="resume", timeout=longest)
        raise AssertionError  # ``defer`` never comes back; Airflow 2 does not say so

    def resume(self, context: Any, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the triggerer has seen the end."""
        return self.done(context, result_of(event))

    def done(self, context: Any, result: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Turn the service's last state into the task's result."""
        return result

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Let a time-out by the framework end as a kill would; otherwise it would pass ``resume`` and ``on_kill`` by."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException as error:
            if not is_late(error):
                raise
        self._recall_mine(context)
        self.on_kill()
        late = WaitTimeoutError(
            "Airflow's own time-out came before a word from the triggerer.",
            hint="Is a triggerer running, and is execution_timeout long enough? Clear this task to go on.",
        )
        return self.resume(context, failure(late))

    def pre_execute(self, context: Any) -> None:
        """Know before all else what a kill may take back: Airflow 2 resumes a task that is out of time by killing it."""
        super().pre_execute(context)
        self._recall_mine(context)

    def _recall_mine(self, context: Any) -> None:
        if self.on_kill_do == "rollback" and self.mine is None:
            self.mine = context["ti"].xcom_pull(task_ids=self.task_id, key=MINE)

    def on_kill(self) -> None:
        """The worker was told to stop: leave the service serving, or take the canary back where asked."""
        if self.mine is None:
            return
        if self.on_kill_do != "rollback":
            report(LEFT)
            return
        with airflow_errors(), self.hook.get_conn() as client:
            client.run(take_back(**self.mine))
