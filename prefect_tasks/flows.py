"""The ready-made flow: a progressive rollout, shown on its page as it happens.

Its annotations are not postponed: a runner loads this file by its path, under no name that Prefect could
look them up by.
"""

from pathlib import Path
from typing import Any, TypeAlias

from prefect import Flow, flow, runtime
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger
from prefect.states import Failed

from anyservice_core import AnyserviceError, RolloutPlan, RolloutReport, ServiceConfig
from prefect_tasks.blocks import AnyserviceCredentials
from prefect_tasks.tasks import rollout, service_name

__all__ = ["progressive_deploy"]

# Text first: a path stays the text that it is in the form of a deployment.
ConfigInput: TypeAlias = str | Path | ServiceConfig
PlanInput: TypeAlias = str | Path | RolloutPlan
CredentialsInput: TypeAlias = str | AnyserviceCredentials | None


def say_how_to_resume(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell the run's log what became of the service. Prefect calls it by these very names."""
    name = service_name(flow_run.parameters.get("config"))
    flow_run_logger(flow_run, flow).warning(
        "%s: the run is %s. The service was left as it is, a canary included. Run the same rollout again to go on "
        "from its weight, or take it back with `anyservice rollback %s`.",
        name,
        state.type.value.lower(),
        name,
    )


def _run_name() -> str:
    return f"rollout {service_name(runtime.flow_run.parameters.get('config'))}"


@flow(
    name="progressive-deploy",
    flow_run_name=_run_name,
    persist_result=False,
    on_cancellation=[say_how_to_resume],
    on_crashed=[say_how_to_resume],
)
def progressive_deploy(
    config: ConfigInput, plan: PlanInput, credentials: CredentialsInput = None, *, force: bool = False
) -> RolloutReport:
    """Bring a new version of a service to all traffic step by step, and take it back if it is worse.

    Args:
        config: The service: path of a YAML file, or its fields.
        plan: The steps and what they are judged by: path of a YAML file, or its fields.
        credentials: A credentials block or its name; empty to use what the environment of the worker says.
        force: Try again a version that was taken back before.

    Prefect keeps parameters as they are given: secrets in `env_vars` belong in a file, and its path here.

    The run succeeds with a promotion. It fails with the reason when the version was taken back, held or
    replaced. A run that is cancelled or killed leaves the service as it is; the next one goes on from there.
    """
    try:
        return rollout(config, plan, force=force, credentials=credentials)
    except AnyserviceError as error:
        # As a state, not raised through the engine: the reason is in its text, a traceback would only bury it.
        # Whoever calls the flow still gets the error raised.
        return Failed(message=str(error), data=error)  # type: ignore[return-value]
