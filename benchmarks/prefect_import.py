"""What our tasks, blocks and flow add to ``from prefect import flow, task``: each run of a flow pays it once.

Whole processes in turn, the same number of each. CPU is what counts where others work on the machine too.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

ROUNDS = int(os.environ.get("ROUNDS", "5"))
CASES = {
    "from prefect import flow, task": ("", "from prefect import flow, task"),
    "import anyservice_core, its client": (
        "from prefect import flow, task",
        "from anyservice_core import Client, RolloutPlan",
    ),
    "import prefect_tasks": ("from prefect import flow, task", "import prefect_tasks"),
}
PROGRAM = """
import json, resource, time
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
{before}
memory, cpu, start = rss(), time.process_time(), time.perf_counter()
{code}
took = time.perf_counter() - start, time.process_time() - cpu, (rss() - memory) / 2**20
print("RESULT", json.dumps(took))
"""


def measure(before: str, code: str) -> tuple[float, float, float]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = PROGRAM.format(before=before, code=code)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    seconds, cpu_s, mebibytes = json.loads(line.removeprefix("RESULT"))
    return seconds, cpu_s, mebibytes


def main() -> None:
    for case in CASES.values():
        measure(*case)  # bytecode
    rounds = [{name: measure(*case) for name, case in CASES.items()} for _ in range(ROUNDS)]
    print(f"median of {ROUNDS}; all but the first on top of prefect")
    base = statistics.median(one["from prefect import flow, task"][1] for one in rounds)
    for name in CASES:
        seconds, cpu_s, memory = (statistics.median(one[name][i] for one in rounds) for i in range(3))
        share = cpu_s / base
        print(
            f"{name:36}{seconds:7.2f} s {cpu_s:7.2f} s CPU {memory:7.1f} MiB   {share:5.2f} of prefect itself"
        )


if __name__ == "__main__":
    main()
