"""The ready-made flow: a progressive rollout, shown on its page as it happens.

Its annotations are not postponed: a runner loads this file by its path, under no name that Prefect could
look them up by.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from prefect import flow, runtime
from prefect.states import Completed, Failed
from pydantic import BeforeValidator
from pydantic.json_schema import SkipJsonSchema

from anyservice_core import AnyserviceError, RolloutPlan, RolloutReport, ServiceConfig
from prefect_tasks.blocks import AnyserviceCredentials
from prefect_tasks.gates import Desk, Gates, at_desk
from prefect_tasks.held import HeldError
from prefect_tasks.leaving import OnKill, leave_or_take_back
from prefect_tasks.naming import service_name
from prefect_tasks.suspending import rang, suspend
from prefect_tasks.tasks import rollout

__all__ = ["progressive_deploy"]


def _fields_by(parse: Callable[[Any], object]) -> BeforeValidator:
    """Let ``parse`` alone say what is wrong with fields: a union says of each of its forms why it is not that one."""

    def read(given: object) -> object:
        try:
            return parse(given) if isinstance(given, Mapping) else given
        except AnyserviceError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(read)


# Text first: a path stays the text that it is in the form of a deployment, which offers no second kind of text for it.
_Path: TypeAlias = SkipJsonSchema[Path]
ConfigInput: TypeAlias = Annotated[str | _Path | ServiceConfig, _fields_by(ServiceConfig.parse)]
PlanInput: TypeAlias = Annotated[str | _Path | RolloutPlan, _fields_by(RolloutPlan.parse)]
CredentialsInput: TypeAlias = str | AnyserviceCredentials | None


_AGAIN: Final = (
    "The service is as it was left: run this again when the control plane answers, and it goes on from there."
)


def _run_name() -> str:
    return f"rollout {service_name(runtime.flow_run.parameters.get('config'))}"


@flow(
    name="progressive-deploy",
    flow_run_name=_run_name,
    persist_result=False,
    on_cancellation=[leave_or_take_back],
    on_crashed=[leave_or_take_back],
)
def progressive_deploy(
    config: ConfigInput,
    plan: PlanInput,
    credentials: CredentialsInput = None,
    *,
    force: bool = False,
    gates: Gates = "watch",
    on_kill: OnKill = "leave",  # noqa: ARG001  # read by the hooks, from the run's parameters
) -> RolloutReport:
    """Bring a new version of a service to all traffic step by step, and take it back if it is worse.

    Args:
        config: The service: path of a YAML file, or its fields.
        plan: The steps and what they are judged by: path of a YAML file, or its fields.
        credentials: A credentials block or its name; empty to use what the environment of the worker says.
        force: Try again a version that was taken back before.
        gates: While an approval or a window holds it: go on watching the canary, or end the process until the answer.
        on_kill: When the run is cancelled or crashes: leave the service as it is, or take the canary back.

    Prefect keeps parameters as they are given: secrets in `env_vars` belong in a file, and its path here.

    The run succeeds with a promotion. It fails with the reason when the version was taken back, held or
    replaced. A run that was cancelled or killed goes on from the weight it had reached when it is run again.
    """
    if (woken := rang()) is not None:
        return Completed(message=woken)  # type: ignore[return-value]
    try:
        with at_desk(Desk(gates)):
            report = rollout(config, plan, force=force, credentials=credentials)
    except AnyserviceError as error:
        # As a state, not raised through the engine: the reason is in its text, a traceback would only bury it.
        # Whoever calls the flow still gets the error raised; as does the process of a worker, which logs it.
        said = f"{error} {_AGAIN}" if error.retryable else str(error)
        return Failed(message=said, data=error.with_traceback(None))  # type: ignore[return-value]
    if isinstance(report, HeldError):
        suspend(report)
    return report
