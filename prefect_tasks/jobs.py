"""A rollout as a block that people save, edit and start in the UI: ``ServiceRollout`` and the run that it gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from prefect.blocks.abstract import JobBlock, JobRun
from pydantic import Field, field_serializer

from anyservice_core import AnyserviceError, RolloutError, RolloutPlan, RolloutReport, ServiceConfig
from anyservice_core.operations.relay import Relay
from prefect_tasks.blocks import DOCS, LOGO, AnyserviceCredentials
from prefect_tasks.naming import checked, service_name
from prefect_tasks.pairs import Ask, aanswer, answer
from prefect_tasks.watching import RolloutWatch

__all__ = ["RolloutRun", "ServiceRollout"]

_Step: TypeAlias = Relay | RolloutReport | None


class ServiceRollout(JobBlock[RolloutReport]):
    """A progressive rollout of a service: what to deploy, and the steps and metrics that decide on it.

    `trigger()` deploys the canary, or finds the one of an earlier run, and returns. The run that it gives watches.

    Example:
        ```python
        from prefect_tasks import ServiceRollout

        run = ServiceRollout.load("BLOCK_NAME").trigger()
        run.wait_for_completion()
        print(run.fetch_result())
        ```
    """

    _block_type_name = "Anyservice Service Rollout"
    _block_type_slug = "anyservice-service-rollout"
    _documentation_url = DOCS  # type: ignore[assignment]  # Prefect keeps it as text
    _logo_url = LOGO  # type: ignore[assignment]
    _description = (
        "A progressive rollout of a service: what to deploy, and the steps and metrics that decide on it. "
        "`trigger()` deploys the canary, or finds the one of an earlier run, and gives a run that watches it."
    )

    config: str | ServiceConfig = Field(description="The service: path of a YAML file, or its fields.")
    plan: str | RolloutPlan = Field(
        description="The steps and what they are judged by: path of a YAML file, or its fields."
    )
    credentials: AnyserviceCredentials = Field(
        default_factory=AnyserviceCredentials,
        description="Where to deploy, and as whom; empty to use what the environment of the worker says.",
    )
    force: bool = Field(default=False, description="Try again a version that was taken back before.")

    @field_serializer("config", "plan")
    def _as_given(self, value: str | ServiceConfig | RolloutPlan) -> str | dict[str, Any]:
        """Keep what was said and not all that may be said, for those who read it in the UI."""
        return value if isinstance(value, str) else value.to_dict()

    def trigger(self) -> RolloutRun:  # type: ignore[override]  # Prefect's is asynchronous; ours comes in a pair
        """Begin, with one look and what it calls for, such as the deploy. Raises what ``rollout`` does."""
        run = RolloutRun(self)
        run.take(answer(run.begin()))
        return run

    async def atrigger(self) -> RolloutRun:
        """Begin in asynchronous code."""
        run = RolloutRun(self)
        run.take(await aanswer(run.begin()))
        return run


class RolloutRun(JobRun[RolloutReport]):
    """A rollout under way. Should the process end, ``trigger()`` of the same block finds it again."""

    def __init__(self, block: ServiceRollout) -> None:
        self._block = block
        self._watch = RolloutWatch(checked(block.config, block.plan))
        self._relay: Relay | None = None
        self._report: RolloutReport | None = None
        self._error: RolloutError | None = None

    def wait_for_completion(self) -> None:  # type: ignore[override]
        """Watch it to its end. Raises ``RolledBackError``, ``RolloutPausedError`` or ``SupersededError``."""
        while self._report is None:
            self._raise_again()
            with self._noting():
                self.take(answer(self._next()))

    async def await_for_completion(self) -> None:
        """Watch it in asynchronous code."""
        while self._report is None:
            self._raise_again()
            with self._noting():
                self.take(await aanswer(self._next()))

    def fetch_result(self) -> RolloutReport:  # type: ignore[override]
        """Give the report, of a rollout that failed too. Raises ``AnyserviceError`` before its end."""
        if self._report is not None:
            return self._report
        if self._error is not None and self._error.report:
            return RolloutReport.model_validate(self._error.report)
        raise AnyserviceError(
            f"{service_name(self._block.config)}: the rollout is still under way.",
            hint="Wait for it: run.wait_for_completion().",
        )

    async def afetch_result(self) -> RolloutReport:
        """Give it in asynchronous code."""
        return self.fetch_result()

    # ── the next thing to ask ──

    def begin(self) -> Ask[_Step]:
        """What starts it, or finds it again."""
        block, watch = self._block, self._watch
        return Ask(
            block.credentials,
            lambda client: client.begin_rollout(
                block.config, block.plan, journal=watch.journal or self._memory, force=block.force
            ),
            watch,
        )

    def take(self, step: Any) -> None:
        """Note how far it is."""
        self._report = step if isinstance(step, RolloutReport) else None
        self._relay = step if isinstance(step, Relay) else None

    @property
    def _memory(self) -> Any:
        return self._relay and self._relay.journal

    def _next(self) -> Ask[_Step]:
        """What to watch; where another rollout was in the way of the deploy, it may be begun anew."""
        relay, block = self._relay, self._block
        if relay is None:
            return self.begin()
        return Ask(block.credentials, lambda client: client.follow_rollout(relay, block.plan), self._watch)

    def _raise_again(self) -> None:
        if self._error is not None:
            raise self._error

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Keep the error that ends it, whose report may be fetched."""
        try:
            yield
        except RolloutError as error:
            self._error = error
            raise
