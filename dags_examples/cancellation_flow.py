"""Take the canary back when the run is cancelled, in the UI or by `prefect flow-run cancel`, or when its process crashes.

    python cancellation_flow.py                  serves the deployment; stop it with Ctrl-C

Without `on_kill` a canary stays as it is, for the next run to go on with: then a restarted worker costs nothing.
"""

from __future__ import annotations

import sys

from prefect_tasks import progressive_deploy


def main(config: str = "recommender/service.yaml", plan: str = "recommender/rollout.yaml") -> None:
    progressive_deploy.serve(
        name="back-on-cancellation",
        parameters={"config": config, "plan": plan, "on_kill": "rollback"},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
