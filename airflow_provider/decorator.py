"""``@task.canary_check``: a Python function that says whether a canary is good, as a gate between two tasks.

    @task.canary_check(service="recommender")
    def looks_right(canary, url):
        return requests.get(f"{url}/health", timeout=5).ok

    canary >> looks_right() >> promote

To judge a rollout at each of its steps instead, name the function in the plan, where it is asked again and again:
``metrics: [{name: looks_right, provider: {python: {call: "team.checks:looks_right"}}, ...}]``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    DecoratedOperator,
    determine_kwargs,
    mask_secret,
    task_decorator_factory,
)

from airflow_provider.errors import airflow_errors
from airflow_provider.hooks import ServiceHook, report
from airflow_provider.links import ServiceLink
from airflow_provider.summary import summary

if TYPE_CHECKING:
    from anyservice_core import ServiceStatus

__all__ = ["CanaryCheckOperator", "canary_check"]


class CanaryCheckOperator(DecoratedOperator):
    """Asks a function about the canary of a service. A false answer fails the task, and a retry asks nobody again.

    Of ``service``, ``canary``, ``baseline`` (their versions' summaries: id, name, state, weight), ``url`` and ``token``
    (where the service answers, and what opens it) the function is given those that it names, beside its own
    arguments and what it names of Airflow's context. It answers true or false, or text that says what is wrong.
    What it raises is an error like any other: ``retries`` apply. Without a canary there is nothing to check, which
    fails the task unless ``must_exist`` is false.

    Args:
        service: the service's name (templated).
        must_exist: fail if no canary is there.
        conn_id: the Airflow connection to the control plane.
        python_callable: the function.
        op_args: its own arguments, by position.
        op_kwargs: the same by name.
        kwargs: as every decorated task takes them.
    """

    hook_class: type[ServiceHook] = ServiceHook
    custom_operator_name = "@task.canary_check"
    operator_extra_links = (ServiceLink(),)
    template_fields: Sequence[str] = ("op_args", "op_kwargs", "service")
    template_fields_renderers: ClassVar[dict[str, str]] = {"op_args": "py", "op_kwargs": "py"}
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        service: str,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        must_exist: bool = True,
        conn_id: str = ServiceHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        given = _filled(python_callable, op_kwargs)
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=given, **kwargs)
        self.service = service
        self.must_exist = must_exist
        self.conn_id = conn_id

    def execute(self, context: Any) -> dict[str, Any]:
        with airflow_errors(), self.hook_class(self.conn_id).get_conn() as client:
            status = client.status(self.service)
            ServiceLink.leave(context, client.settings.host, status.id)
        seen = summary(status)
        if status.canary_version is None:
            return self._no_canary(seen)
        answer = self._ask(context, status, seen)
        if not answer or isinstance(answer, str):
            why = f": {answer}" if answer else ""
            raise AirflowFailException(
                f"{status.name}: {self.python_callable.__name__} rejects version {status.canary_version.name}{why}."
            )
        report(f"{status.name}: {self.python_callable.__name__} is content with {status.canary_version.name}")
        return seen

    def _ask(self, context: Any, status: ServiceStatus, seen: Mapping[str, Any]) -> Any:
        if status.query_auth_token:
            mask_secret(status.query_auth_token)
        known = {
            "service": status.name,
            "canary": seen["canary_version"],
            "baseline": seen["primary_version"],
            "url": status.query_url,
            "token": status.query_auth_token,
        }
        own = {
            name: value for name, value in self.op_kwargs.items() if value is not None or name not in known
        }
        kwargs = determine_kwargs(self.python_callable, self.op_args, {**context, **known, **own})
        return self.python_callable(*self.op_args, **kwargs)

    def _no_canary(self, seen: dict[str, Any]) -> dict[str, Any]:
        if self.must_exist:
            raise AirflowFailException(f"{self.service}: there is no canary to check.")
        report(f"{self.service}: there is no canary, so there is nothing to check")
        return seen


_OURS = ("service", "canary", "baseline", "url", "token")


def _filled(function: Callable[..., Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Airflow binds the arguments when the DAG is read; what comes at run time is ``None`` until then."""
    import inspect

    named = inspect.signature(function).parameters
    return {**{name: None for name in _OURS if name in named}, **(given or {})}


def canary_check(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
    """Make a task of a function; see ``CanaryCheckOperator``. In DAGs it is ``@task.canary_check``."""
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=CanaryCheckOperator, **kwargs
    )
