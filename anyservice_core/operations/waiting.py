"""Waiting: look, ask ``goals.judge`` whether that was it, sleep, look again, until a deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from anyservice_core.effects import Now, Op, Report, Sleep, until
from anyservice_core.errors import AnyserviceError, TransportError, WaitFailedError, WaitTimeoutError
from anyservice_core.models.enums import ServiceState
from anyservice_core.models.status import ServiceStatus
from anyservice_core.operations.goals import Failed, Goal, Pending, Reached, Verdict, judge

__all__ = ["Waiting", "poll"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Reported when what a wait sees changes. ``status`` is all that was seen, if there was an answer yet."""

    service: str
    state: str
    reason: str
    status: ServiceStatus | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.service} is {self.state}{_split(self.status)}: {self.reason}"


def _split(status: ServiceStatus | None) -> str:
    """Who has how much of the traffic, where two share it."""
    if status is None or status.primary_version is None or status.canary_version is None:
        return ""
    both = (status.primary_version, status.canary_version)
    return f" ({', '.join(f'{version.name} {version.weight}%' for version in both)})"


@dataclass
class _Watch:
    """What a wait remembers between polls."""

    name: str
    goal: Goal
    heard: bool
    unhealthy_polls: int = 0
    lone_polls: int = 0
    last: ServiceStatus | None = None
    said: str = ""

    def forgives(self, error: AnyserviceError) -> bool:
        """Whether to look again: not where trying is no use, nor where nothing listens and nothing ever did."""
        refused = isinstance(error, TransportError) and error.refused
        self.heard = self.heard or not refused
        return error.retryable and self.heard

    def see(self, status: ServiceStatus) -> Verdict:
        failing = status.state is ServiceState.UNHEALTHY and bool(status.error_message)
        lone = status.state is ServiceState.RUNNING and status.canary_version is None
        self.unhealthy_polls = self.unhealthy_polls + 1 if failing else 0
        self.lone_polls = self.lone_polls + 1 if lone else 0
        self.last, self.name, self.heard = status, status.name, True
        return judge(status, self.goal, unhealthy_polls=self.unhealthy_polls, lone_polls=self.lone_polls)

    @property
    def state(self) -> str | None:
        return self.last.state.value if self.last else None

    def tell(self, reason: str) -> Op[None]:
        event = Waiting(self.name, self.state or "not seen yet", reason, self.last)
        if str(event) != self.said:
            self.said = str(event)
            yield from Report(event)


def poll(
    look: Callable[[], Op[ServiceStatus]],
    goal: Goal,
    *,
    name: str,
    timeout_s: float,
    poll_interval_s: float,
    heard: bool = True,
) -> Op[ServiceStatus]:
    """Look until ``judge`` has an end. An answer that fails to come costs a poll, not the wait.

    ``heard`` says that the control plane has been heard of before. If not, one on this machine at whose address nothing
    listens at the first look is not there, rather than away for a moment.
    Raises ``WaitFailedError``, ``WaitTimeoutError``, and what ``look`` raises if trying again is no use.
    """
    deadline = (yield from Now()) + timeout_s
    watch = _Watch(name, goal, heard)
    while True:
        verdict, pause = yield from _look_once(until(deadline, look()), watch, poll_interval_s)
        if isinstance(verdict, Reached) and watch.last is not None:
            return watch.last
        if isinstance(verdict, Failed):
            raise WaitFailedError(
                f"Service {watch.name!r} will not reach {goal}: {verdict.reason}.", state=watch.state
            )
        reason = verdict.reason if isinstance(verdict, Pending) else ""
        yield from watch.tell(reason)
        left = deadline - (yield from Now())
        if left <= 0:
            raise _timed_out(watch, reason, timeout_s)
        yield from Sleep(min(pause, left))


def _look_once(look: Op[ServiceStatus], watch: _Watch, pause: float) -> Op[tuple[Verdict, float]]:
    """The verdict, and how long to wait before the next look."""
    try:
        return watch.see((yield from look)), pause
    except AnyserviceError as error:
        if not watch.forgives(error):
            raise
        return Pending(f"no answer ({error.message})"), max(
            pause, getattr(error, "retry_after_s", None) or 0.0
        )


def _timed_out(watch: _Watch, reason: str, timeout_s: float) -> WaitTimeoutError:
    return WaitTimeoutError(
        f"Service {watch.name!r} did not reach {watch.goal} within {timeout_s:g} s. "
        f"Last seen {watch.state or 'nothing'}: {reason}.",
        state=watch.state,
    )
