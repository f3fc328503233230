"""What it costs to have the library at hand: whole processes, in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

ROUNDS = 7
CASES = {
    "python -c pass": "pass",
    "import anyservice_core": "import anyservice_core",
    "import Client": "from anyservice_core import Client",
    "import httpx, pydantic": "import httpx, pydantic",
    "anyservice --help": "import sys; sys.argv = ['anyservice', '--help']; from anyservice_core.cli import main; main()",
}


def seconds(code: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    for code in CASES.values():
        seconds(code)  # bytecode
    rounds = [{name: seconds(code) for name, code in CASES.items()} for _ in range(ROUNDS)]
    base = statistics.median(r["import httpx, pydantic"] for r in rounds)
    for name in CASES:
        median = statistics.median(r[name] for r in rounds)
        print(f"{name:26}{median * 1000:7.0f} ms   {median / base:5.2f} of httpx and pydantic")


if __name__ == "__main__":
    main()
