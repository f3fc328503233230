"""What our operators add to ``import airflow.sdk``: every DAG file pays it, each time that Airflow reads it.

Whole processes in turn, the same number of each; ``astro-provider-anyscale`` among them where it is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROUNDS = int(os.environ.get("ROUNDS", "7"))
OTHER = "anyscale_provider"
CASES = {
    "airflow.sdk": "",
    "airflow_provider.operators": "import airflow_provider.operators",
    "the same, sensors and group": "import airflow_provider.operators, airflow_provider.sensors, airflow_provider.group",
}
if importlib.util.find_spec(OTHER):
    CASES["astro-provider-anyscale"] = "import anyscale_provider.operators.anyscale"
# Airflow's own operators are there already in any DAG file: what is measured is what comes on top.
PROGRAM = """
import json, resource, time
import airflow.sdk
airflow.sdk.DAG, airflow.sdk.BaseOperator, airflow.sdk.BaseSensorOperator, airflow.sdk.BaseHook
from airflow.triggers.base import BaseTrigger
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before, start = rss(), time.perf_counter()
{code}
print("RESULT", json.dumps([time.perf_counter() - start, (rss() - before) / 2**20]))
"""


def measure(code: str, home: str) -> tuple[float, float]:
    environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=code)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    seconds, mebibytes = json.loads(line.removeprefix("RESULT"))
    return seconds, mebibytes


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="airflow-") as home:
        for code in CASES.values():
            measure(code, home)  # bytecode
        rounds = [{name: measure(code, home) for name, code in CASES.items()} for _ in range(ROUNDS)]
    print(f"median and worst of {ROUNDS}, on top of airflow.sdk with its operators, hooks and triggers")
    for name in CASES:
        took = [one[name][0] for one in rounds]
        memory = statistics.median(one[name][1] for one in rounds)
        print(f"{name:32}{statistics.median(took):8.3f} s {max(took):8.3f} s {memory:8.1f} MiB")
    if OTHER and "astro-provider-anyscale" not in CASES:
        print("astro-provider-anyscale is not installed, so it is not compared with")


if __name__ == "__main__":
    main()
