"""The tasks: each is one call of the core. ``prefect_tasks.aio`` has the same ones to await.

    from prefect import flow
    from prefect_tasks import deploy, wait

    @flow
    def release():
        service = deploy("service.yaml", canary_percent=10)
        wait(service.service_name, version=service.version_id, canary_weight=10)

``credentials`` is a block, the name that one was saved under, or nothing, which leaves it to the environment.
What fails for a reason that may pass is tried again, but nothing is deployed or rolled back twice. No result
is cached or kept, as the status of a service has the token of its users in it.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

from anyservice_core import RolloutReport, ServiceId, ServiceStatus
from prefect_tasks.blocks import Credentials
from prefect_tasks.leaving import bring_back, note_canary
from prefect_tasks.naming import Config, Plan, checked, service_name
from prefect_tasks.pairs import BEARING, PATIENTLY, Ask, pair
from prefect_tasks.watching import RolloutWatch, Watch

__all__ = ["archive", "delete", "deploy", "list", "rollback", "rollout", "status", "terminate", "wait"]


class DeployWatch(Watch):
    """Also notes what was deployed, so that a transaction can take it back."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def end(self, outcome: object, console: str) -> None:  # noqa: ARG002
        if isinstance(outcome, ServiceId):
            note_canary(outcome, self._credentials)

    async def aend(self, outcome: object, console: str) -> None:
        self.end(outcome, console)


def _deploying(parameters: dict[str, Any]) -> str:
    percent = parameters["canary_percent"]
    return f"deploy {service_name(parameters['config'])}" + ("" if percent is None else f" @{percent}%")


def _waiting(parameters: dict[str, Any]) -> str:
    weight = parameters["canary_weight"]
    return f"wait {parameters['name']}" + ("" if weight is None else f" @{weight}%")


def _rolling_out(parameters: dict[str, Any]) -> str:
    return f"rollout {service_name(parameters['config'])}"


# ── changing a service ──────────────────────────────────────────────────────


def _deploy(
    config: Config,
    *,
    canary_percent: int | None = None,
    in_place: bool = False,
    max_surge_percent: int | None = None,
    credentials: Credentials = None,
) -> Ask[ServiceId]:
    """Deploy a service, or update the one of that name; returns as soon as the server has taken it.

    ``config`` is a ``ServiceConfig``, its fields or the path of a YAML file. ``canary_percent`` (0 to 100) gives
    the new version that share of the traffic and holds it; without it the traffic moves by itself.
    ``max_surge_percent`` (0 to 100) is the excess capacity allowed meanwhile; ``in_place`` updates the running
    version. The result is the service's id, and knows ``version_id``, ``service_name`` and ``query_url``.

    In a Prefect transaction that fails later on, the canary is taken back, if it still is this one.
    """
    return Ask(
        credentials,
        lambda client: client.deploy(
            config, canary_percent=canary_percent, in_place=in_place, max_surge_percent=max_surge_percent
        ),
        DeployWatch(credentials),
    )


def _rollback(
    name: str, *, max_surge_percent: int | None = None, credentials: Credentials = None
) -> Ask[str]:
    """Take back the canary of a service: the primary version gets all the traffic. Returns at once, with the id."""
    return Ask(credentials, lambda client: client.rollback(name, max_surge_percent=max_surge_percent))


def _terminate(name: str, *, credentials: Credentials = None) -> Ask[str]:
    """Stop a service, all versions of it. Returns at once, with the id."""
    return Ask(credentials, lambda client: client.terminate(name))


def _archive(name: str, *, credentials: Credentials = None) -> Ask[str]:
    """Hide a terminated service from lists and lookups. Returns at once, with the id."""
    return Ask(credentials, lambda client: client.archive(name))


def _delete(name: str, *, credentials: Credentials = None) -> Ask[str]:
    """Remove a terminated service for good. Returns at once, with the id."""
    return Ask(credentials, lambda client: client.delete(name))


def _rollout(
    config: Config, plan: Plan, *, force: bool = False, credentials: Credentials = None
) -> Ask[RolloutReport]:
    """Bring a version to all traffic step by step, and take it back if it is worse. Returns when it is over.

    ``config`` and ``plan`` are models, their fields or paths of YAML files. A version that was taken back before
    is tried again only with ``force``. The run's page shows the weight, the verdicts and a report.
    A control plane that is away is waited for, five minutes before the first look and as long as the plan says after it.
    Run again after a crash or a cancellation, it goes on from where it was. One rollout of a service runs at a time:
    another waits for two minutes, and fails then. A gate of the plan pauses the flow run, with a form to answer in.

    Raises ``RolledBackError``, ``RolloutPausedError`` or ``SupersededError``, each saying why.
    """
    watch = RolloutWatch(checked(config, plan))
    return Ask(
        credentials,
        lambda client: client.rollout(config, plan, force=force, journal=watch.journal),
        watch,
    )


# ── looking at services ─────────────────────────────────────────────────────


def _status(name: str, *, credentials: Credentials = None) -> Ask[ServiceStatus]:
    """Read the state of a service and of its versions."""
    return Ask(credentials, lambda client: client.status(name))


def _wait(
    name: str,
    *,
    state: str | Iterable[str] = "RUNNING",
    version: str | None = None,
    canary_weight: int | None = None,
    timeout_s: float = 600.0,
    poll_interval_s: float = 2.0,
    credentials: Credentials = None,
) -> Ask[ServiceStatus]:
    """Wait until a service is in ``state``, or its ``version`` is healthy at ``canary_weight`` percent.

    Looks every ``poll_interval_s`` seconds for at most ``timeout_s`` seconds. Raises ``WaitTimeoutError`` then,
    and ``WaitFailedError`` as soon as the goal is out of reach.
    """
    return Ask(
        credentials,
        lambda client: client.wait(
            name,
            state=state,
            version=version,
            canary_weight=canary_weight,
            timeout_s=timeout_s,
            poll_interval_s=poll_interval_s,
        ),
    )


def _list(
    *,
    name: str | None = None,
    state_filter: Iterable[str] | None = None,
    max_items: int | None = None,
    credentials: Credentials = None,
) -> Ask[builtins.list[ServiceStatus]]:
    """List services; ``name`` is any part of their names, ``state_filter`` the states they may be in."""
    call = lambda client: client.list(name=name, state_filter=state_filter, max_items=max_items)  # noqa: E731
    return Ask(credentials, call)


deploy, adeploy = pair(_deploy, named=_deploying)
for one in (deploy, adeploy):
    one.on_rollback(bring_back)
rollback, arollback = pair(_rollback, named="rollback {name}")
terminate, aterminate = pair(_terminate, named="terminate {name}", options=PATIENTLY)
archive, aarchive = pair(_archive, named="archive {name}", options=PATIENTLY)
delete, adelete = pair(_delete, named="delete {name}", options=PATIENTLY)
rollout, arollout = pair(_rollout, named=_rolling_out, options=BEARING)
status, astatus = pair(_status, named="status {name}", options=PATIENTLY)
wait, await_ = pair(_wait, named=_waiting, options=PATIENTLY)
list, alist = pair(_list, named="list services", options=PATIENTLY)
