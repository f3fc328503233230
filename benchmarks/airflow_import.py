"""What our operators add to ``import airflow.sdk``: every DAG file pays it, each time that Airflow reads it.

    python benchmarks/airflow_import.py                        ours
    python benchmarks/airflow_import.py --known                and astro-provider-anyscale, in an environment made for it
    python benchmarks/airflow_import.py --known path/python    or in one that is there

Whole processes in turn, the same number of each, so that noise hits both; each in the environment where it lives, on the
same Airflow, on top of what ``airflow.sdk`` with its operators, hooks and triggers costs there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = int(os.environ.get("ROUNDS", "7"))
KNOWN = "astro-provider-anyscale"
GOAL = 1 / 20
UV = Path(__file__).parents[1] / ".tools" / "bin" / "uv"
OURS = "airflow_provider.operators"
CASES = {
    "airflow.sdk": "",
    OURS: f"import {OURS}",
    "the same, sensors and group": f"import {OURS}, airflow_provider.sensors, airflow_provider.group",
}
THEIRS = "import anyscale_provider.operators.anyscale"
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


def measure(python: str, code: str, home: str) -> tuple[float, float]:
    environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [python, "-c", PROGRAM.format(code=code)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    seconds, mebibytes = json.loads(line.removeprefix("RESULT"))
    return seconds, mebibytes


def known_python(asked: str, folder: str) -> str:
    """A Python that has the known integration: the one that was named, or a new one on the same Airflow as ours."""
    if asked:
        return asked
    home = Path(folder) / "known"
    airflow = f"apache-airflow=={importlib.metadata.version('apache-airflow')}"
    uv = str(UV) if UV.exists() else "uv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, home], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--compile-bytecode", airflow, KNOWN],
        env={**os.environ, "VIRTUAL_ENV": str(home)},
        check=True,
    )
    return str(home / "bin" / "python")


def main() -> None:
    parser = argparse.ArgumentParser(description="What our operators add to import airflow.sdk.")
    parser.add_argument("--known", nargs="?", const="", metavar="PYTHON", help=f"compare with {KNOWN}")
    asked = parser.parse_args().known
    with tempfile.TemporaryDirectory(prefix="airflow-") as home:
        runs = {name: (sys.executable, code) for name, code in CASES.items()}
        if asked is not None:
            runs[KNOWN] = (known_python(asked, home), THEIRS)
        for python, code in runs.values():
            measure(python, code, home)  # bytecode
        rounds = [
            {name: measure(python, code, home) for name, (python, code) in runs.items()}
            for _ in range(ROUNDS)
        ]
    tell(rounds)


def tell(rounds: list[dict[str, tuple[float, float]]]) -> None:
    print(f"median and worst of {len(rounds)}, on top of airflow.sdk with its operators, hooks and triggers")
    middle = {}
    for name in rounds[0]:
        took, memory = zip(*(one[name] for one in rounds), strict=True)
        middle[name] = statistics.median(took), statistics.median(memory)
        print(f"{name:32}{middle[name][0]:8.3f} s {max(took):8.3f} s {middle[name][1]:8.1f} MiB")
    if KNOWN not in middle:
        print(f"not compared with {KNOWN}: --known does")
        return
    for what, ours, theirs in zip(("seconds", "memory"), middle[OURS], middle[KNOWN], strict=True):
        verdict = "under" if ours / theirs < GOAL else "over"
        print(f"{what}: {ours / theirs:.3f} of {KNOWN}, {verdict} the goal of a twentieth")


if __name__ == "__main__":
    main()
