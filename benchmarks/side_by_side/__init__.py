"""Two programs, in turn, and how the second compares with the first.

Times of one run on one machine mean little; their ratio, taken in turn, holds when the machine's speed drifts.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cost", "compare", "in_turn", "measured", "official_python"]

# A process inherits the high-water mark of the one that it is started from, so each is started from a tiny one.
_LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
said = process.stdout.read()
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
seconds = time.perf_counter() - start
said = said.decode(errors="replace")
print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode, said]))
"""


@dataclass(frozen=True)
class Cost:
    """Whole process time, that of its processors in it, peak memory, and what it printed."""

    seconds: float
    cpu_s: float
    mib: float
    said: str = ""


def official_python() -> Path:
    """The Python that has the official client. Where there is none, say so and end well."""
    found = [Path(sys.executable), Path(__file__).parents[2] / ".venv-official" / "bin" / "python"]
    for python in found:
        if (python.parent / "anyscale").exists():
            return python
    print("the official client is not here to be compared with; `make .venv-official/ready` sets it up")
    sys.exit(0)


def measured(
    command: Sequence[str | Path], environment: Mapping[str, str], *, timeout_s: float = 300
) -> Cost:
    """Run a program to its end. Raises ``RuntimeError`` where it fails, ``TimeoutExpired`` where it does not end."""
    launcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *map(str, command)],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with launcher:
        try:
            told, errors = launcher.communicate(timeout=timeout_s)
        except BaseException:
            os.killpg(launcher.pid, signal.SIGKILL)  # the program too
            raise
    seconds, cpu_s, mib, code, said = json.loads(told)
    if code != 0:
        raise RuntimeError(f"{command[0]} ended with {code}: {errors[-2000:]}")
    return Cost(seconds, cpu_s, mib, said)


def in_turn(
    programs: Mapping[str, Sequence[str | Path]], environment: Mapping[str, str], rounds: int
) -> dict[str, Cost]:
    """Run each so many times, one after the other, and give the medians. The first round is for the caches."""
    runs = [
        {name: measured(command, environment) for name, command in programs.items()}
        for _ in range(rounds + 1)
    ][1:]
    return {
        name: Cost(
            statistics.median(run[name].seconds for run in runs),
            statistics.median(run[name].cpu_s for run in runs),
            statistics.median(run[name].mib for run in runs),
            runs[-1][name].said,
        )
        for name in programs
    }


def compare(costs: Mapping[str, Cost]) -> None:
    """Print two costs and their ratios, the official one first."""
    for name, cost in costs.items():
        print(f"{name:36}{cost.seconds:8.2f} s {cost.cpu_s:8.2f} s CPU {cost.mib:8.1f} MiB")
    theirs, ours = costs.values()
    wall, cpu, memory = theirs.seconds / ours.seconds, theirs.cpu_s / ours.cpu_s, ours.mib / theirs.mib
    print(f"{wall:.1f} times as fast ({cpu:.1f} times by CPU), with {memory:.0%} of the memory")


def bytecode() -> dict[str, str]:
    """The environment with bytecode allowed, without which neither client is itself."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
