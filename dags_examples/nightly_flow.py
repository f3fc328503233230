"""Roll the recommender out on working days at nine, step by step, and take it back if it errs more than the present one.

    python nightly_flow.py        waits for the next run; stop it with Ctrl-C

A morning without a new version is a run that sends nothing. A version that was taken back fails its run, with
the reason. To reach a control plane of your own, save `AnyserviceCredentials(...)` under a name and add
`"credentials": "that-name"` to the parameters.
"""

from __future__ import annotations

from prefect_tasks import progressive_deploy

if __name__ == "__main__":
    progressive_deploy.serve(
        name="nightly",
        cron="0 9 * * mon-thu",
        parameters={"config": "recommender/service.yaml", "plan": "recommender/rollout.yaml"},
    )
