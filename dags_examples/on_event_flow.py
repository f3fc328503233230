"""Deploy when another deployment's event says that a model is ready, and page somebody when it is taken back.

    python on_event_flow.py                      serves both deployments; stop it with Ctrl-C

The training ends with `emit_event("model.ready", resource={"prefect.resource.id": "model.recommender"},
payload={"config": "recommender/service.yaml"})`. The second deployment is started by the rollout's own event; in
Prefect Cloud, and with a notification block, an automation can do the same without a deployment.
"""

from __future__ import annotations

import sys
from typing import Any

from prefect import flow, serve
from prefect.events import DeploymentEventTrigger

from prefect_tasks import progressive_deploy

READY = DeploymentEventTrigger(
    name="a model is ready",
    expect={"model.ready"},
    match={"prefect.resource.id": "model.*"},
    parameters={"config": "{{ event.payload.config }}"},
)
BACK = DeploymentEventTrigger(
    name="a version was taken back",
    expect={"anyservice.rollout.rolled-back"},
    match={"prefect.resource.id": "anyservice.service.*"},
    parameters={"service": "{{ event.payload.service }}", "reason": "{{ event.payload.message }}"},
)


@flow(log_prints=True)
def page(service: str, reason: str) -> None:
    """Stands for the pager of your house."""
    print(f"PAGE {service}: {reason}")


def main(plan: str = "recommender/rollout.yaml") -> None:
    parameters = {"config": "recommender/service.yaml", "plan": plan}
    deployments: list[Any] = [  # `to_deployment` is typed as if it might be awaited
        progressive_deploy.to_deployment(name="on-event", parameters=parameters, triggers=[READY]),
        page.to_deployment(name="pager", triggers=[BACK]),
    ]
    serve(*deployments)


if __name__ == "__main__":
    main(*sys.argv[1:])
