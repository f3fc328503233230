"""Bring a new version of the digits classifier to its users, step by step.

    python digits_rollout_flow.py digits.yaml digits_rollout.yaml

The service's config and the rollout's plan may also come from `DIGITS_CONFIG` and `DIGITS_PLAN`. Which control
plane is meant is found in the environment; the one on this machine is `export ANYSERVICE_HOST=local`. The run's
page shows the weight, the verdicts and a report, and what happens is logged line by line. The exit code is 0
after a promotion, and 10 when the version was taken back.
"""

from __future__ import annotations

import os
import sys

from anyservice_core import AnyserviceError
from prefect_tasks import progressive_deploy


def main(paths: list[str]) -> int:
    config, plan = paths or (os.environ["DIGITS_CONFIG"], os.environ["DIGITS_PLAN"])
    try:
        report = progressive_deploy(config, plan)
    except AnyserviceError as error:
        print(error)
        return error.exit_code
    print(report)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
