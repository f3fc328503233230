"""``anyservice status`` against ``anyscale service status``: whole processes, on one local server, in turn.

Both run in the same Python with their bytecode cached, and look up the same service. The official command is
spared its look-up of releases and its telemetry. Goal: 8 times as fast, with a third of the memory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from side_by_side import compare, in_turn, official_python

from tests.official.clients import official_environment
from tests.official.recording import RecordingServer
from tests.official.states import running

ROUNDS = 7


def main() -> None:
    scripts = official_python().parent
    with RecordingServer() as server, tempfile.TemporaryDirectory() as home:
        server.fresh(running)
        environment = official_environment(server.host, server.token, Path(home))
        programs = {
            "anyscale service status -n svc": [scripts / "anyscale", "service", "status", "-n", "svc"],
            "anyservice status svc": [scripts / "anyservice", "status", "svc"],
        }
        costs = in_turn(programs, environment, ROUNDS)
    for name, cost in costs.items():
        if "RUNNING" not in cost.said:
            raise RuntimeError(f"{name} did not tell the state: {cost.said[:500]}")
    compare(costs)


if __name__ == "__main__":
    main()
