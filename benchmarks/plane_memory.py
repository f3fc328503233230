"""What an idle plane holds of memory, its router, and a version on each engine, a bare Python being 1.

What processes share is counted once among those who share it (PSS).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from side_by_side.plane import config, deploy, of_session, plane, pss_mib

from anyservice_core.plane.engines.hostdir import HostDir
from anyservice_core.plane.engines.hosts import session_of

SETTLE_S = 5.0


def bare() -> float:
    """A Python that has imported nothing and waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as python:
        time.sleep(1)
        held = pss_mib([python.pid])
        python.kill()
    return held


def measured(engine: str) -> dict[str, float]:
    with plane(engine) as (record, state):
        time.sleep(SETTLE_S)
        found = {"idle plane": pss_mib(of_session(record["pid"]))}
        deploy(record, config(state.parent, engine))
        time.sleep(SETTLE_S)
        (folder,) = [path for path in (state / "hosts").iterdir() if path.is_dir()]
        session = session_of(HostDir(folder))
        assert session is not None
        found[f"version on {engine}"] = pss_mib(of_session(session.sid))
        router = json.loads((state / "router.json").read_text())
        found["router"] = pss_mib(of_session(router["session"]["sid"]))
        found["plane with a service"] = pss_mib(of_session(record["pid"]))
    return found


def main() -> None:
    python = bare()
    figures = {
        name: held for engine in sys.argv[1:] or ("process", "ray") for name, held in measured(engine).items()
    }
    print(f"{'a bare Python':22} {python:7.1f} MiB")
    for name, held in figures.items():
        print(f"{name:22} {held:7.1f} MiB {held / python:7.1f}")
    print(json.dumps({name: round(held / python, 1) for name, held in figures.items()}))


if __name__ == "__main__":
    assert Path("/proc/self/smaps_rollup").exists()
    main()
