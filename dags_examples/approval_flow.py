"""Ask a person before the promotion: the flow run waits in Prefect's UI, with a form.

    python approval_flow.py                      serves the deployment; start a run in the UI, or by its schedule

At the promotion the run is *Suspended*: no process waits for the answer, and nobody watches the canary meanwhile. With
`"gates": "watch"` it is *Paused* instead, and its process goes on watching. What happens when nobody
answers in time is the plan's to say, here: back to the version before.
"""

from __future__ import annotations

import sys

from prefect_tasks import progressive_deploy

PLAN = {"steps": [5, 25], "bake": "15m", "promotion": {"timeout": "8h", "on_timeout": "rollback"}}


def main(config: str = "recommender/service.yaml") -> None:
    progressive_deploy.serve(
        name="with-approval",
        cron="0 9 * * mon-thu",
        parameters={"config": config, "plan": PLAN, "gates": "suspend"},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
