"""A process that rolls out on a plane of its own and is told to end while the canary bakes. Prints its run's id."""

from __future__ import annotations

import os
import signal
from typing import Any

from prefect import runtime

from anyservice_core import Client, RolloutPlan, ServiceConfig
from anyservice_core.rollout import Event, Kind
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, progressive_deploy

PLANE = FakePlane()


class EndedCredentials(AnyserviceCredentials):
    _block_type_name = "Anyservice Test End"
    _block_type_slug = "anyservice-test-end"

    def get_client(self, **options: Any) -> Client:
        tell = options.pop("on_report")

        def end(event: Any) -> None:
            tell(event)
            if isinstance(event, Event) and event.kind is Kind.BAKING:
                print(runtime.flow_run.id, flush=True)
                os.kill(os.getpid(), signal.SIGTERM)

        return PLANE.client(on_report=end, **options)


def config(version: str) -> ServiceConfig:
    return ServiceConfig(name="svc-0", version_name=version, applications=[{"import_path": "main:app"}])


if __name__ == "__main__":
    with PLANE.client() as client:
        client.deploy(config("v1"))
        client.wait("svc-0")
    progressive_deploy(config("v2"), RolloutPlan.parse({"steps": [10], "bake": "30s"}), EndedCredentials())
